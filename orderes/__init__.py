"""What a client in Python imports: `orderes.client`, and the stubs of the contract, which are
generated from `protos/`.
"""
