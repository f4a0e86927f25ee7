"""The projector at work: woken, patient with its stores, and open about its health."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StartFailed, StoreBroken, StoreUnavailable
from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.threads import OwnThread
from eventcore.wake import WakeReceiver
from eventcore.write_store import WriteSnapshot
from projector.bootstrap import Projector, serve
from projector.settings import ProjectorSettings
from tests.orders.examples import PLACED
from tests.projector.examples import CountingProjection, FailingReadStore
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.order_log import OrderLog
from tests.support.rpc import LOCALHOST, channel_to


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
            checkpoint = unit.checkpoints.get(projection.name)
            return -1 if checkpoint is None else checkpoint.position

    async def is_serving(self, name: str) -> bool:
        async with channel_to(self.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

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
    read_store = FailingReadStore(MemoryReadStore())
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
            projections=[first, second],
            write_store=reader,
            read_store=read_store,
            thread=thread,
            wakes=wakes,
            clock=lambda: log.now,
            moved=lambda: None,
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


async def test_a_wake_up_brings_what_is_new(tmp_path: Path) -> None:
    async with a_projector(tmp_path) as running:
        await running.start()
        await eventually(lambda: running.position(running.second) == 0)
        # Each poll would take a second: only wake-ups can be so fast.
        async with asyncio.timeout(15):
            for count in range(1, 31):
                running.log.append(an_id(), PLACED)
                running.wakes.wake()
                await eventually(
                    lambda count=count: running.position(running.second) == count  # type: ignore[misc]
                )


async def test_the_poll_brings_what_no_wake_up_told(tmp_path: Path) -> None:
    async with a_projector(tmp_path, poll_seconds=0.01) as running:
        await running.start()
        await eventually(lambda: running.position(running.second) == 0)
        running.log.append(an_id(), PLACED)
        await eventually(lambda: running.position(running.second) == 1)


async def test_it_waits_for_the_write_store_to_be_made(tmp_path: Path) -> None:
    async with a_projector(tmp_path) as running:
        running.log.append(an_id(), PLACED)
        running.reader.is_made = False
        with capture_logs() as logs:
            await running.start()
            assert not await running.is_serving("projection.first")
            for _ in range(3):
                running.wakes.wake()
                await asyncio.sleep(0.01)
            running.reader.is_made = True
            running.wakes.wake()
            await running.serving("projection.first", becomes=True)
        events = [line["event"] for line in logs]
        assert events == ["waiting_for_the_write_store", "store_answers"]
        assert running.position(running.first) == 1


async def test_a_store_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    async with a_projector(tmp_path, poll_seconds=0.01) as running:
        await running.start()
        await running.serving("projection.first", becomes=True)
        with capture_logs() as logs:
            running.read_store.before_commit.extend([StoreUnavailable()] * 2)
            running.log.append(an_id(), PLACED)
            await eventually(lambda: running.position(running.second) == 1)
            await eventually(lambda: len(logs) == 2)
        assert [line["event"] for line in logs] == [
            "store_unavailable",
            "store_answers",
        ]
        assert await running.is_serving("projection.first")


async def test_a_broken_store_ends_the_process(tmp_path: Path) -> None:
    async with a_projector(tmp_path) as running:
        running.read_store.before_commit.append(StoreBroken())
        await running.start()
        await asyncio.wait_for(running.stop.wait(), timeout=10)
        assert isinstance(running.stop.error, StoreBroken)


async def test_a_failing_projection_is_not_healthy_and_the_other_is(
    tmp_path: Path,
) -> None:
    async with a_projector(tmp_path) as running:
        running.first.poison[1] = RuntimeError("cannot")
        await running.start()
        await running.serving("projection.first", becomes=True)
        running.log.append(an_id(), PLACED)
        running.wakes.wake()
        await running.serving("projection.first", becomes=False)
        await running.serving("projection.second", becomes=True)
        assert not await running.is_serving("")


async def test_another_log_ends_the_process(tmp_path: Path) -> None:
    async with a_projector(tmp_path) as running:
        with running.read_store.begin() as unit:
            of_another = Checkpoint(projection="first", store_id=an_id(), position=1)
            unit.checkpoints.advance(of_another, expected_position=None)
            unit.commit()
        await running.start()
        await asyncio.wait_for(running.stop.wait(), timeout=10)
        assert isinstance(running.stop.error, StartFailed)


async def test_a_second_projector_on_the_same_data_does_not_start(
    tmp_path: Path,
) -> None:
    settings = load_settings(
        ProjectorSettings,
        {
            "data_dir": tmp_path,
            "projector_address": LOCALHOST,
            "projector_metrics_address": LOCALHOST,
        },
    )
    stop = Stop()
    with capture_logs() as logs:
        first = asyncio.create_task(serve(settings, stop))
        await eventually(lambda: any(line["event"] == "listening" for line in logs))
        with pytest.raises(StartFailed, match="in use by another process"):
            await serve(settings, Stop())
        stop.set()
        await first
