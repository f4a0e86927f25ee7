"""A read server over a real channel; the log and the projections behind it are the test's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from contexts.orders.events import OrderEvent, OrderPlaced
from contexts.orders.read.registry import ORDER_PROJECTIONS
from eventcore.generations import Role, Skip
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import EventEnvelope, Instant
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.projection import Projection
from eventcore.projection_register import ProjectionRegister
from eventcore.sql.read_snapshots import SqlReadSnapshots
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import (
    async_reader_engine,
    owner_engine,
    reader_engine,
)
from eventcore.telemetry import ProjectionMetrics
from eventcore.wake import WakeReceiver, WakeSender
from orderes.v1.query_service_pb2_grpc import QueryServiceStub
from projector.comparison import Comparisons
from projector.runner import FRESHNESS_SECONDS, ProjectionRunner, RunnerLimits
from read_server.bootstrap import ReadServer
from read_server.settings import ReadServerSettings
from tests.orders.examples import line
from tests.support.connections import connections_ended
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.order_log import OrderLog
from tests.support.rpc import LOCALHOST, channel_to

if TYPE_CHECKING:  # It is in the types of the stubs alone.
    from orderes.v1.query_service_pb2_grpc import QueryServiceAsyncStub

STORE_ID = an_id()
NEVER = 30.0
"""Seconds: a poll so rare that only a wake-up can be the cause."""


def placed(*product_ids: str, customer_id: str = "customer-1") -> OrderPlaced:
    return OrderPlaced(
        customer_id=customer_id,
        currency_code="EUR",
        lines=tuple(line(product_id) for product_id in product_ids or ("apples",)),
    )


def at(instant: Instant) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(instant)
    return message


class Behind:
    """The projector of a scene, and its store. Blocking: it is called from a thread."""

    def __init__(self, scene: "Scene", projections: Sequence[Projection]) -> None:
        self._scene = scene
        self._skipped_seconds = 0.0
        path = scene.path
        self.store = SqlReadStore(owner_engine(path, durable=False))
        self.comparisons = Comparisons(lambda: SqlReadStoreReader(reader_engine(path)))
        self.runner = ProjectionRunner(
            projections=projections,
            write_store=scene.write_store,
            read_store=self.store,
            comparisons=self.comparisons,
            metrics=ProjectionMetrics(CollectorRegistry()),
            clock=scene.clock,
            moved=scene.wake,
            owner="the projector of the test",
            seize=True,
            limits=RunnerLimits(batch_events_max=scene.batch_events_max),
            monotonic=lambda: time.monotonic() + self._skipped_seconds,
        )
        self.runner.verify()

    def project(self) -> None:
        """Applies what there is, and ends the rebuilds that are under way."""
        while True:
            wait_seconds = self.runner.advance()
            if wait_seconds > 0 and not self.is_rebuilding:
                return
            self._skipped_seconds += wait_seconds

    @property
    def is_rebuilding(self) -> bool:
        return any(owned.rebuild is not None for owned in self.runner._owned)

    def leave_out(self, projection: Projection, event: EventEnvelope) -> None:
        """Has a read model do without an event, as an operator may who cannot mend it."""
        skip = Skip(
            position=event.position,
            event_id=event.event_id,
            event_type=event.type,
            reason="it cannot be applied",
            time=self._scene.clock(),
        )
        self._change(lambda register: register.skip(projection.name, 1, skip))

    def rebuild(self, projection: Projection) -> int:
        """Makes a read model anew, which then takes over; the generation that serves."""
        self._change(
            lambda register: register.add_generation(
                projection,
                role=Role.BUILDING,
                now=self._scene.clock(),
                reason="asked",
            )
        )
        self.project()
        with self.store.begin() as unit:
            (serving,) = (
                each
                for each in unit.register.generations(projection.name)
                if each.role is Role.SERVING
            )
        return serving.number

    def _change(self, change: Callable[[ProjectionRegister], object]) -> None:
        with self.store.begin() as unit:
            change(unit.register)
            unit.commit()
        self.runner.reload()

    def step(self) -> None:
        """Applies one batch, to each read model that it is for."""
        self.runner.advance()

    def beat(self) -> None:
        """Writes down how fresh the read models are, as it does while nothing happens."""
        self._skipped_seconds += FRESHNESS_SECONDS
        self.runner.advance()

    def close(self) -> None:
        self.comparisons.close()
        self.store.close()


class Scene:
    """What clients see, and what is behind it."""

    def __init__(
        self,
        folder: Path,
        *,
        poll_seconds: float,
        batch_events_max: int = 1000,
        **settings: Any,
    ) -> None:
        self.path = folder / "read.db"
        self.folder = folder
        self.batch_events_max = batch_events_max
        self.write_store = MemoryWriteStore(store_id=STORE_ID)
        self.log = OrderLog(self.write_store)
        self.stop = Stop()
        self.later = 0
        """Microseconds that have passed since the last event."""
        self._settings = load_settings(
            ReadServerSettings,
            {
                "data_dir": folder,
                "read_address": LOCALHOST,
                "read_poll_seconds": poll_seconds,
                **settings,
            },
        )
        self._behind: Behind | None = None
        self.address: str
        self.snapshots: SqlReadSnapshots
        self.server: ReadServer
        self.queries: QueryServiceAsyncStub
        self.health: Any

    def clock(self) -> Instant:
        return self.log.now + self.later

    async def place(
        self, *events: OrderEvent, order_id: str | None = None, project: bool = True
    ) -> str:
        """Appends to the log, and by default projects it; the order."""
        order_id = order_id or an_id()
        self.append(order_id, *(events or (placed(),)))
        if project:
            await self.project()
        return order_id

    def append(self, order_id: str, *events: OrderEvent) -> list[EventEnvelope]:
        return self.log.append(order_id, *events)

    async def behind(self) -> Behind:
        """The projector."""
        if self._behind is None:
            self._behind = await asyncio.to_thread(Behind, self, ORDER_PROJECTIONS)
        return self._behind

    async def restart_projector(self, projections: Sequence[Projection]) -> None:
        """Has the projector of another release take over."""
        await self._stop_projector()
        self._behind = await asyncio.to_thread(Behind, self, projections)

    async def project(self) -> None:
        """Brings the read models to the end of the log, and tells the read server."""
        await asyncio.to_thread((await self.behind()).project)

    async def beat(self) -> None:
        """Has the projector show that it lives."""
        await asyncio.to_thread((await self.behind()).beat)

    async def is_serving(self, service: str = "orderes.v1.QueryService") -> bool:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await self.health.Check(request)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def ready(self) -> None:
        await eventually(self.is_serving)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Scene"]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stop_projector)
            stack.push_async_callback(connections_ended)
            self.snapshots = SqlReadSnapshots(
                async_reader_engine(self.path, connections=2)
            )
            stack.push_async_callback(self.snapshots.close)
            wakes = await stack.enter_async_context(
                WakeReceiver(self.folder, "read-test.wake")
            )
            self.server = ReadServer(
                settings=self._settings,
                path=self.path,
                snapshots=self.snapshots,
                wakes=wakes,
                clock=self.clock,
                registry=CollectorRegistry(),
            )
            stack.push_async_callback(self.server.stop)
            self.address = await self.server.start(self.stop)
            channel = await stack.enter_async_context(channel_to(self.address))
            self.queries = QueryServiceStub(channel)
            self.health = health_pb2_grpc.HealthStub(channel)
            yield self

    async def _stop_projector(self) -> None:
        behind, self._behind = self._behind, None
        if behind is not None:
            await asyncio.to_thread(behind.close)

    def wake(self) -> None:
        """Tells the read server, from whichever thread."""
        with closing(WakeSender(self.folder, "read-*.wake")) as sender:
            sender.send()
