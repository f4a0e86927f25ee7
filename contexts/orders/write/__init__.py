"""The write side of the orders context: its commands' handlers, and their service."""
