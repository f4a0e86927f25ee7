"""A read server over a real channel; the log and the projections behind it are the test's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from contexts.orders.events import OrderEvent, OrderPlaced
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.read.tables import READ_SCHEMA_VERSION
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import EventEnvelope, Instant
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.sql.read_snapshots import SqlReadSnapshots
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import async_reader_engine, owner_engine
from eventcore.telemetry import ProjectionMetrics
from eventcore.wake import WakeReceiver, WakeSender
from orderes.v1.query_service_pb2_grpc import QueryServiceStub
from projector.runner import ProjectionRunner
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


class Scene:
    """What clients see, and what is behind it."""

    def __init__(self, folder: Path, *, poll_seconds: float) -> None:
        self.path = folder / "read.db"
        self.folder = folder
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
            },
        )
        self._store: SqlReadStore | None = None
        self._runner: ProjectionRunner | None = None
        self.server: ReadServer
        self.queries: QueryServiceAsyncStub
        self.health: Any

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

    async def project(self) -> None:
        """Brings the read models to the end of the log, and tells the read server."""
        await asyncio.to_thread(self._project)

    async def is_serving(self, service: str = "orderes.v1.QueryService") -> bool:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await self.health.Check(request)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def ready(self) -> None:
        await eventually(self.is_serving)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Scene"]:
        snapshots = SqlReadSnapshots(
            async_reader_engine(self.path, connections=2),
            schema_version=READ_SCHEMA_VERSION,
        )
        async with WakeReceiver(self.folder, "read-test.wake") as wakes:
            self.server = ReadServer(
                settings=self._settings,
                path=self.path,
                snapshots=snapshots,
                wakes=wakes,
                clock=lambda: self.log.now + self.later,
                registry=CollectorRegistry(),
            )
            address = await self.server.start(self.stop)
            async with channel_to(address) as channel:
                self.queries = QueryServiceStub(channel)
                self.health = health_pb2_grpc.HealthStub(channel)
                yield self
            await self.server.stop()
        await snapshots.close()
        await connections_ended()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    def _project(self) -> None:
        if self._store is None:
            self._store = SqlReadStore(
                owner_engine(self.path, durable=False),
                tables=[table for one in ORDER_PROJECTIONS for table in one.tables],
                schema_version=READ_SCHEMA_VERSION,
            )
        if self._runner is None:
            self._runner = ProjectionRunner(
                projections=ORDER_PROJECTIONS,
                write_store=self.write_store,
                read_store=self._store,
                metrics=ProjectionMetrics(CollectorRegistry()),
                clock=lambda: self.log.now,
                moved=self._wake,
                batch_events_max=1000,
            )
            self._runner.verify()
        while self._runner.advance():
            pass

    def _wake(self) -> None:
        with closing(WakeSender(self.folder, "read-*.wake")) as sender:
            sender.send()
