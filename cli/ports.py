"""Ports for servers that live shortly and disturb nobody."""

import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections: none of them can sit on a
port between its choice and its use, or while its server is restarted."""


def free_addresses() -> Iterator[str]:
    """Addresses on which nothing listens, each another."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        yield f"{HOST}:{port}"
