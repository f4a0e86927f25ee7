"""A client of servers that run."""

from orderes.client import Client
from tests.system.running import Up


def client_of(up: Up) -> Client:
    """A client that outlasts the restarts of its servers."""
    return Client(
        up.addresses["write-address"],
        up.addresses["read-address"],
        # A machine under load restarts a process slowly.
        timeout_seconds=60,
        correlation_id="flow-1",
    )
