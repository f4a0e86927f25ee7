"""A projector at work, over stores in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from eventcore.errors import StoreUnavailable
from eventcore.generations import served
from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.threads import OwnThread
from eventcore.wake import WakeReceiver
from eventcore.write_store import WriteSnapshot
from orderes.v1 import projection_admin_service_pb2 as pb2
from orderes.v1.projection_admin_service_pb2_grpc import ProjectionAdminServiceStub
from projector.bootstrap import Projector
from projector.settings import ProjectorSettings
from tests.projector.examples import CountingProjection, FailingReadStore
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.order_log import OrderLog
from tests.support.rpc import LOCALHOST, channel_to

REASON = "a test"


class DelayedReader:
    """A write store that is not made yet, until it is."""

    def __init__(self, store: MemoryWriteStore) -> None:
        self._store = store
        self.is_made = True

    @contextmanager
    def snapshot(self) -> Iterator[WriteSnapshot]:
        if not self.is_made:
            raise StoreUnavailable
        with self._store.snapshot() as snapshot:
            yield snapshot

    def close(self) -> None:
        self._store.close()


@dataclass(slots=True)
class Running:
    """A projector with two projections, at work."""

    projector: Projector
    reader: DelayedReader
    log: OrderLog
    read_store: FailingReadStore
    wakes: WakeReceiver
    first: CountingProjection
    second: CountingProjection
    stop: Stop
    address: str = ""

    async def start(self) -> None:
        self.address = await self.projector.start(self.stop)

    def position(self, projection: CountingProjection) -> int:
        with self.read_store.begin() as unit:
            present = served(unit.register.generations(projection.name), version=1)
            return -1 if present is None else present.checkpoint.position

    async def is_serving(self, name: str) -> bool:
        async with channel_to(self.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def ask(self, method: str, **fields: Any) -> Any:
        """Asks as an operator does."""
        request = getattr(pb2, f"{method}Request")(**fields)
        async with channel_to(self.address) as channel:
            return await getattr(ProjectionAdminServiceStub(channel), method)(request)

    async def shown(self, name: str = "first") -> Any:
        """A projection as operators see it."""
        answer = await self.ask("ListProjections")
        return next(each for each in answer.projections if each.name == name)

    async def serving(self, name: str, *, becomes: bool) -> None:
        async def is_so() -> bool:
            return await self.is_serving(name) == becomes

        await eventually(is_so)


@asynccontextmanager
async def a_projector(
    folder: Path, *, poll_seconds: float = 1.0
) -> AsyncIterator[Running]:
    store = MemoryWriteStore(store_id=an_id())
    reader = DelayedReader(store)
    stored = MemoryReadStore()
    read_store = FailingReadStore(stored)
    first, second = CountingProjection("first"), CountingProjection("second")
    log = OrderLog(store)
    thread = OwnThread("projector-test")
    async with WakeReceiver(folder, "projector.wake") as wakes:
        projector = Projector(
            settings=load_settings(
                ProjectorSettings,
                {
                    "projector_address": LOCALHOST,
                    "projection_poll_seconds": poll_seconds,
                },
            ),
            projections=[first.declared, second.declared],
            write_store=reader,
            read_store=read_store,
            thread=thread,
            open_reader=lambda: stored,
            wakes=wakes,
            clock=lambda: log.now,
            moved=lambda: None,
            owner="this",
            seize=True,
            registry=CollectorRegistry(),
        )
        running = Running(
            projector=projector,
            reader=reader,
            log=log,
            read_store=read_store,
            wakes=wakes,
            first=first,
            second=second,
            stop=Stop(),
        )
        try:
            yield running
        finally:
            await projector.stop()
            await asyncio.to_thread(thread.close)
