"""The port at which Prometheus reads the metrics of a process."""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from eventcore.errors import StartFailed
from eventcore.process.address import ListenAddress, cannot_listen


class MetricsServer:
    """Serves a registry over HTTP, from a thread of its own."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        self._address = address
        self._registry = registry
        self._server: WSGIServer | None = None

    def start(self) -> str:
        """Listens, and returns the address, with the port that port 0 became.

        Raises:
            StartFailed: the address is wrong or in use.
        """
        try:
            address = ListenAddress.parse(self._address)
        except ValueError as error:
            raise StartFailed(f"address {self._address!r} {error}") from None
        try:
            self._server, _ = start_http_server(
                address.port, address.host, registry=self._registry
            )
        except OSError as error:
            raise cannot_listen(address, error) from None
        return str(ListenAddress(address.host, self._server.server_port))

    def close(self) -> None:
        """Stops. Returns at once, also on an event loop; the port is free a moment later.

        Idempotent.
        """
        server, self._server = self._server, None
        if server is not None:
            # `shutdown` waits for the serving thread, which looks up twice a second.
            threading.Thread(target=_shut, args=(server,), name="metrics-close").start()


def _shut(server: WSGIServer) -> None:
    server.shutdown()
    server.server_close()
