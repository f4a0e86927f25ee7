"""The orders context: its domain, its view and its wire mapping."""
