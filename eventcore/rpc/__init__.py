"""Hosting of gRPC services: calls and their metadata, errors as statuses, health,
reflection, drain.
"""
