"""The process that answers queries from the read models."""
