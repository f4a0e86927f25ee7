"""Watching orders: the past from the read model, and then what happens, from memory."""
