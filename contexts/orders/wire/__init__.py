"""The only mapping between the messages of the contract and the dataclasses of the context."""
