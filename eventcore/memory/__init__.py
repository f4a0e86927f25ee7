"""The ports in memory, with the same guarantees but durability: for fast tests."""
