"""The health service of gRPC (grpc.health.v1).

The library's servicer sets a status asynchronously and tells nobody at a drain; this one changes it
at once, and the server ends its watchers with a status.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Status = health_pb2.HealthCheckResponse

WHOLE = ""
"""The server as a whole: it is serving when all of its services are."""


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers whether services are up. For the event loop's thread only."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def set_serving(self, service: str, *, serving: bool) -> None:
        """Changes the status of a service, and tells those who watch it."""
        if not self._closed:
            self._set(service, Status.SERVING if serving else Status.NOT_SERVING)

    def add(self, service: str) -> None:
        """Makes the service known, as serving unless something else was said."""
        self._set(service, self._statuses.get(service, Status.SERVING))

    def close(self) -> None:
        """Sets every service to NOT_SERVING, for good."""
        self._closed = True
        for service in self._statuses:
            self._set(service, Status.NOT_SERVING)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # The contract's name.
        """The status of one service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Status(status=status)

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # See Check.
        """The status of every service."""
        return health_pb2.HealthListResponse(  # type: ignore[attr-defined]  # Too new for the stubs.
            statuses={
                service: Status(status=status)
                for service, status in self._statuses.items()
            }
        )

    async def Watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802  # See Check.
        """The status of one service, now and whenever it changes."""
        shown: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, Status.SERVICE_UNKNOWN)
            if status != shown:
                shown = status
                yield Status(status=status)
            else:
                await changed.wait()

    def _set(self, service: str, status: int) -> None:
        self._statuses[service] = status
        others = [self._statuses[name] for name in self._statuses if name != WHOLE]
        is_serving = all(other == Status.SERVING for other in others)
        self._statuses[WHOLE] = Status.SERVING if is_serving else Status.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()
