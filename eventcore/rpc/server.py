"""A gRPC server: its services, health and reflection, and how it starts and drains."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from eventcore.errors import StartFailed
from eventcore.process.address import ListenAddress, cannot_listen, check_free
from eventcore.rpc.connection_calls import ConnectionCalls
from eventcore.rpc.handlers import Handler, HandlerGroup, Handlers
from eventcore.rpc.health import HealthServicer
from eventcore.rpc.in_flight import InFlight, Quiet
from eventcore.telemetry import RpcMetrics

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTION = reflection.SERVICE_NAME

ENDING_SECONDS_MAX = 1.0
"""How long handlers that were told to end may take; those that do not listen are left behind."""
QUIET = Quiet()
"""How long no call must have come in before the port is closed."""
CLOSING_SECONDS_MAX = 1.0
"""How long the last answers may take to leave the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcService:
    """A service to host."""

    name: str
    """Its full name, as in "orderes.v1.CommandService"."""
    add: Callable[[grpc.aio.Server], None]
    """Registers the servicer, as in `lambda server: add_XServicer_to_server(servicer, server)`."""
    merges_violations: bool = False
    """True if each of its methods seeds its checks of form with `current_call().violations`. For
    other services a call with wrong metadata is refused before the servicer sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcLimits:
    """What a server bounds.

    The first three are ours: what is beyond them gets an answer that says so. The library has
    limits of its own for the same, and its refusals say little: some have no ErrorInfo, some are a
    stream that is reset. So each of those stands well above ours, and bounds what is read to give
    our answer.
    """

    message_bytes_max: int = 1024 * 1024
    """Of one message of a client: INVALID_ARGUMENT, naming "request". Far more than the longest
    command, or a full batch of usual ones."""
    metadata_bytes_max: int = 16 * 1024
    """Of the metadata of one call, with 32 for each entry: INVALID_ARGUMENT, naming "metadata".
    Enough for ids, a trace context and credentials."""
    connection_calls_max: int = 4000
    """Calls under way on one connection: RESOURCE_EXHAUSTED, TOO_MANY_CALLS. A call that waits
    holds about 24 KB. Health and reflection are not counted."""
    library_message_bytes_max: int = 4 * 1024 * 1024
    """Beyond it the library answers RESOURCE_EXHAUSTED, without an ErrorInfo."""
    library_metadata_bytes_max: int = 64 * 1024
    """Beyond it the library answers RESOURCE_EXHAUSTED, without an ErrorInfo."""
    library_window_bytes: int = 256 * 1024
    """Of a stream that came in and is not read yet: a client that is ahead of us waits on its own
    side. Left to itself the library lets each stream grow to 4 MiB."""
    pending_calls_max: int = 20_000
    """Calls that have come in and not been picked up by the loop. Beyond it the library resets
    streams, so it is far above what a command queue holds: the queue is what refuses."""
    keepalive_seconds: float = 60.0
    """How often an idle connection is probed, so that dead peers do not keep it."""
    keepalive_timeout_seconds: float = 20.0
    """How long the answer to a probe may take."""
    client_ping_seconds_min: float = 5.0
    """How often a client may ping without being cut off for it."""

    @property
    def library_streams_max(self) -> int:
        """Calls under way on one connection that the library lets in. At it the library resets
        streams: client and server do not agree at every moment on how many are open. So it is never
        the first to be reached.
        """
        return self.connection_calls_max + self.pending_calls_max

    def options(self) -> list[tuple[str, int]]:
        """The limits as channel arguments of gRPC."""
        return [
            # With SO_REUSEPORT a second server would share the port silently.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self.library_message_bytes_max),
            ("grpc.max_metadata_size", self.library_metadata_bytes_max),
            ("grpc.absolute_max_metadata_size", self.library_metadata_bytes_max),
            ("grpc.http2.lookahead_bytes", self.library_window_bytes),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.max_concurrent_streams", self.library_streams_max),
            ("grpc.server.max_pending_requests", self.pending_calls_max),
            ("grpc.server.max_pending_requests_hard_limit", self.pending_calls_max),
            ("grpc.keepalive_time_ms", round(1000 * self.keepalive_seconds)),
            (
                "grpc.keepalive_timeout_ms",
                round(1000 * self.keepalive_timeout_seconds),
            ),
            ("grpc.keepalive_permit_without_calls", 1),
            (
                "grpc.http2.min_ping_interval_without_data_ms",
                round(1000 * self.client_ping_seconds_min),
            ),
        ]


class RpcServer:
    """Hosts services at one address, with health and reflection beside them.

    Every service is SERVING from `start` on, unless `set_serving` said otherwise.
    """

    def __init__(
        self,
        *,
        address: str,
        services: Sequence[RpcService],
        metrics: RpcMetrics,
        error_domain: str = "orderes",
        limits: RpcLimits = RpcLimits(),
    ) -> None:
        self._address = address
        self._limits = limits
        self._handlers = Handlers(
            metrics=metrics,
            error_domain=error_domain,
            message_bytes_max=limits.message_bytes_max,
            metadata_bytes_max=limits.metadata_bytes_max,
        )
        self._calls = InFlight()
        self._side_calls = InFlight()
        """Those of health and reflection: they are answered during a drain and never hold it up."""
        self._health = HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._host(services)

    async def start(self) -> str:
        """Listens, and returns the address, with the port that port 0 became.

        Raises:
            StartFailed: the address is wrong or in use.
        """
        try:
            address = ListenAddress.parse(self._address)
        except ValueError as error:
            raise StartFailed(f"address {self._address!r} {error}") from None
        check_free(address)
        server = grpc.aio.server(
            handlers=[self._handlers], options=self._limits.options()
        )
        try:
            port = server.add_insecure_port(str(address))
        except RuntimeError:
            raise cannot_listen(address) from None
        await server.start()
        self._server = server
        return str(ListenAddress(address.host, port))

    def set_serving(self, service: str, serving: bool) -> None:  # noqa: FBT001  # As in `set(key, value)`.
        """Tells the health of a service, and so that of the whole. No effect after `stop`."""
        self._health.set_serving(service, serving=serving)

    async def stop(self, *, grace_seconds: float) -> None:
        """Drains and closes. Idempotent: later callers wait for the first one's drain.

        Health turns NOT_SERVING and new calls get SHUTTING_DOWN. Calls under way have
        `grace_seconds` to finish; then they are cancelled and answered with SHUTTING_DOWN too.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(grace_seconds))
        await asyncio.shield(self._stopping)

    async def _stop(self, grace_seconds: float) -> None:
        self._health.close()
        await self._calls.drain(seconds=grace_seconds)
        await self._calls.end(seconds=ENDING_SECONDS_MAX)
        if self._server is not None:
            await self._close(self._server)

    async def _close(self, server: grpc.aio.Server) -> None:
        await self._calls.hold(QUIET)
        # Only now: those who watch the health have heard of NOT_SERVING in the meantime.
        await self._side_calls.end(seconds=ENDING_SECONDS_MAX)
        closing = asyncio.create_task(server.stop(CLOSING_SECONDS_MAX))
        # Its first step tells the clients to go away, before they learn that they are refused.
        await asyncio.sleep(0)
        self._calls.release()
        await closing

    def _host(self, services: Sequence[RpcService]) -> None:
        connections = ConnectionCalls(calls_max=self._limits.connection_calls_max)
        own = HandlerGroup(in_flight=self._calls, connection_calls=connections)
        merging = replace(own, merges_violations=True)
        side = HandlerGroup(in_flight=self._side_calls)
        names = [*(service.name for service in services), HEALTH, REFLECTION]
        for service in services:
            self._register(service, merging if service.merges_violations else own)
        for service in _side_services(self._health, names):
            self._register(service, side)
        for name in names:
            self._health.add(name)

    def _register(self, service: RpcService, group: HandlerGroup) -> None:
        registrar = _Registrar(self._handlers, group)
        service.add(cast(grpc.aio.Server, registrar))
        if registrar.services != [service.name]:
            raise ValueError(f"{service.name} registers {registrar.services}")


def _side_services(health: HealthServicer, names: Sequence[str]) -> list[RpcService]:
    reflecting = reflection.aio.ReflectionServicer(names)
    return [
        RpcService(
            name=HEALTH,
            add=partial(health_pb2_grpc.add_HealthServicer_to_server, health),
        ),
        RpcService(
            name=REFLECTION,
            add=partial(
                reflection_pb2_grpc.add_ServerReflectionServicer_to_server, reflecting
            ),
        ),
    ]


class _Registrar:
    """What generated code takes for a server while it registers a servicer."""

    def __init__(self, handlers: Handlers, group: HandlerGroup) -> None:
        self._handlers = handlers
        self._group = group
        self.services: list[str] = []

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        self._handlers.add(method_handlers, service=service_name, group=self._group)
        self.services.append(service_name)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Of no use: generated code registers the same methods by name as well."""
