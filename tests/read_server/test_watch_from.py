"""WatchOrders from a position on: who comes back gets what it has not had, each event once."""

import asyncio
import itertools
from typing import NoReturn

import grpc
import pytest

from contexts.orders.read.order_events import ORDER_EVENTS
from contexts.orders.read.watching import tail, watch
from eventcore.errors import StoreUnavailable
from eventcore.sql.read_snapshots import SqlReadSnapshots
from tests.orders.examples import PAID_ORDER
from tests.read_server.scene import STORE_ID, Scene, placed
from tests.read_server.watching import OFTEN, refused, watching
from tests.support.envelopes import an_id
from tests.support.eventually import eventually


@pytest.mark.usefixtures("small")
async def test_from_whichever_position_it_goes_on_without_gap_or_repetition(
    scene: Scene,
) -> None:
    for _ in range(6):
        await scene.place(*PAID_ORDER)
    for after in (0, 1, 10, 23, 24):
        async with watching(scene, after_position=after) as watcher:
            await watcher.caught_up()
        assert watcher.positions == list(range(after + 1, 25))


@pytest.mark.usefixtures("small")
async def test_who_is_cut_off_again_and_again_gets_each_event_once(
    scene: Scene,
) -> None:
    """While events come: wherever the past ends and the news begins, there is no seam."""
    positions: list[int] = []

    async def write() -> None:
        for number in range(60):
            await scene.place(placed(f"product-{number}"), project=number % 4 == 0)
        await scene.project()

    async with asyncio.TaskGroup() as together:
        together.create_task(write())
        for take in itertools.cycle((1, 5, 2, 11)):
            after = positions[-1] if positions else 0
            if after == 60:
                break
            until = min(after + take, 60)
            async with watching(scene, after_position=after) as watcher:
                await watcher.read_to(until)
            positions += watcher.positions
    assert positions == list(range(1, 61))


@pytest.mark.usefixtures("often")
async def test_a_mark_is_a_place_to_go_on_from_though_nothing_was_sent(
    scene: Scene,
) -> None:
    """Who wants little goes on from the mark, not from the event long ago."""
    await scene.place(*PAID_ORDER)
    wanted = {"customer_id": "customer-2", "checkpoint_interval": OFTEN}
    async with watching(scene, after_position=0, **wanted) as watcher:
        await watcher.caught_up()
        assert (watcher.events, watcher.marks[-1].position) == ([], 4)
    await scene.place(placed(customer_id="customer-2"))
    async with watching(
        scene, after_position=4, store_id=STORE_ID, **wanted
    ) as watcher:
        await watcher.caught_up()
        assert (watcher.positions, watcher.marks[-1].position) == ([5], 5)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("limit", "value"),
    [("EVENTS_KEPT_MAX", 8), ("BYTES_KEPT_MAX", 60_000), ("BYTES_KEPT_MAX", 1)],
)
async def test_who_falls_behind_what_is_kept_gets_everything_nevertheless(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """The events are so large that who does not read them is stuck in flow control."""
    monkeypatch.setattr(tail, limit, value)
    large = placed(*(f"{number:03}" + "x" * 120 for number in range(100)))
    async with watching(scene) as slow, watching(scene) as quick:
        for number in range(30):
            await scene.place(large, project=number % 3 == 0)
        await scene.project()
        await quick.read_to(30)
        await slow.read_to(30)
    assert slow.positions == quick.positions == list(range(1, 31))


@pytest.mark.usefixtures("small")
async def test_a_store_that_goes_away_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who reads the past as by who waits for news; neither misses or repeats anything."""
    monkeypatch.setattr(tail, "STORE_AWAY_SECONDS", 0.01)
    monkeypatch.setattr(tail, "QUIET_SECONDS", 0.01)
    for _ in range(5):
        await scene.place(*PAID_ORDER)
    asked: list[object] = []

    def away(_: object) -> NoReturn:
        asked.append(None)
        raise StoreUnavailable

    async with (
        watching(scene, after_position=0) as reader,
        watching(scene) as waiter,
    ):
        with monkeypatch.context() as store:
            store.setattr(SqlReadSnapshots, "open", away)
            await scene.place(*PAID_ORDER)
            await eventually(lambda: len(asked) > 5)
        await scene.place()
        await reader.read_to(25)
        await waiter.read_to(25)
    assert reader.positions == list(range(1, 26))
    assert waiter.positions == list(range(21, 26))


async def test_a_position_that_the_read_model_has_not_come_to_is_waited_for(
    scene: Scene,
) -> None:
    """That of a receipt is ahead of it for a moment."""
    await scene.place(project=False)
    projecting = asyncio.create_task(scene.project())
    async with watching(scene, after_position=1) as watcher:
        await projecting
        await scene.place()
        await watcher.read_to(2)
    assert (watcher.marks[0].position, watcher.positions) == (1, [2])


async def test_a_position_beyond_what_is_known_of_the_log_is_not_yet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the projector stands still, nobody knows whether the log has it."""
    monkeypatch.setattr(watch, "MAX_WAIT_SECONDS_DEFAULT", 0.01)
    await scene.place()
    scene.later = 10_000_000
    failure = await refused(scene, after_position=2)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "PROJECTION_LAGGING",
    )
    assert failure.metadata["position"] == "1"
    assert "RetryInfo" in failure.details


async def test_a_position_that_the_log_has_not_had_is_out_of_range(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_WAIT_SECONDS_DEFAULT", 0.01)
    await scene.place()
    failure = await refused(scene, after_position=2)
    assert failure.code is grpc.StatusCode.OUT_OF_RANGE
    assert failure.metadata["newest_position"] == "1"


async def test_a_position_of_another_store_is_refused(scene: Scene) -> None:
    failure = await refused(scene, after_position=0, store_id=an_id())
    assert failure.reason == "STORE_MISMATCH"


async def test_a_read_model_that_takes_over_is_not_seen_by_who_watches(
    scene: Scene,
) -> None:
    await scene.place(*PAID_ORDER)
    behind = await scene.behind()
    async with watching(scene, after_position=0) as watcher:
        for generation, last in ((2, 5), (3, 6)):
            made = await asyncio.to_thread(behind.rebuild, ORDER_EVENTS)
            assert made == generation
            await scene.place()
            await watcher.read_to(last)
            async with watching(scene, after_position=0) as late:
                await late.read_to(last)
            assert watcher.positions == late.positions == list(range(1, last + 1))
