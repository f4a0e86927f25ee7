"""The `orderes` command: what people touch."""
