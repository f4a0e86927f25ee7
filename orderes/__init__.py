"""What a client in Python imports: the stubs of the contract, generated from `protos/`."""
