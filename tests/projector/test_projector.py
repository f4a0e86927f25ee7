"""The projector at work: woken, patient with its stores, and open about its health."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StartFailed, StoreBroken, StoreUnavailable
from eventcore.generations import Role
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from projector.bootstrap import serve
from projector.settings import ProjectorSettings
from tests.orders.examples import PLACED
from tests.projector.running import a_projector
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import LOCALHOST


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
            await eventually(lambda: running.position(running.first) == 1)
        events = [line["event"] for line in logs]
        assert events[0] == "waiting_for_the_write_store"
        assert events.count("waiting_for_the_write_store") == 1
        assert events.count("store_answers") == 1


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
            lease = unit.register.acquire("first", owner="", now=0, expire_time=0)
            assert lease is not None
            unit.register.add_generation(
                running.first.declared, role=Role.SERVING, now=0, reason="made"
            )
            of_another = Checkpoint(store_id=an_id(), position=1)
            unit.generation(lease, 1).advance(of_another, expected_position=0)
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
