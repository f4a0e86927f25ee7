"""Consistency by itself: whatever comes between looking and waiting is not missed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, Select

from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    ProjectionLagging,
    ShuttingDown,
    StoreMismatch,
    StoreUnavailable,
)
from eventcore.freshness import Requirement
from eventcore.wake import WakeReceiver
from read_server.consistency import Consistency
from tests.support.eventually import eventually

LONG = 20.0


class Store:
    """A read store whose position a test moves, also in the middle of a look."""

    def __init__(self) -> None:
        self.position = 0
        self.looks = 0
        self.is_away = False
        self.during_look: Callable[[], None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Store"]:
        if self.is_away:
            raise StoreUnavailable
        yield self

    async def checkpoint(self, projection: str) -> Checkpoint:
        self.looks += 1
        found = Checkpoint(
            projection=projection, store_id="store", position=self.position
        )
        if self.during_look is not None:
            self.during_look()
            self.during_look = None
        # Long enough for whoever was woken to act on it before the look is over.
        for _ in range(20):
            await asyncio.sleep(0)
        return found

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        raise AssertionError(f"nobody here asks for rows: {query}")


class Waiting:
    """A Consistency at work over such a store."""

    def __init__(self, store: Store, wakes: WakeReceiver) -> None:
        self.store = store
        self.wakes = wakes
        self.consistency = Consistency(
            snapshots=store, wakes=wakes, poll_seconds=LONG * 2
        )

    def commit(self, position: int) -> None:
        self.store.position = position
        self.wakes.wake()

    async def holds(self, count: int) -> None:
        """Returns once so many wait, and their looks are over."""
        consistency = self.consistency
        await eventually(
            lambda: (
                sum(map(len, consistency._waiting.values())) == count
                and consistency._looks._running is None
            )
        )

    async def reach(
        self, position: int, *, seconds: float = LONG, remaining: float | None = None
    ) -> None:
        await self.consistency.reach(
            Requirement(min_position=position, max_wait_seconds=seconds),
            projection="orders",
            time_remaining_seconds=remaining,
        )


@pytest.fixture
async def waiting(tmp_path: Path) -> AsyncIterator[Waiting]:
    waiting = Waiting(Store(), WakeReceiver(tmp_path, "test.wake"))
    following = asyncio.create_task(waiting.consistency.follow())
    yield waiting
    following.cancel()


async def test_a_commit_in_the_middle_of_the_look_is_not_missed(
    waiting: Waiting,
) -> None:
    """Its wake-up comes when the look has read, and has not yet said what."""
    waiting.store.during_look = lambda: waiting.commit(1)
    await asyncio.wait_for(waiting.reach(1), timeout=LONG / 2)


async def test_what_is_known_to_be_reached_costs_no_look(waiting: Waiting) -> None:
    waiting.commit(5)
    await waiting.reach(5)
    looks = waiting.store.looks
    await asyncio.gather(*(waiting.reach(position) for position in range(1, 6)))
    assert waiting.store.looks == looks


async def test_those_who_come_together_share_a_look(waiting: Waiting) -> None:
    waiting.commit(5)
    await asyncio.gather(*(waiting.reach(5) for _ in range(100)))
    assert waiting.store.looks <= 2


async def test_wake_ups_cost_no_look_while_nobody_waits(waiting: Waiting) -> None:
    for position in range(1, 10):
        waiting.commit(position)
        await asyncio.sleep(0)
    assert waiting.store.looks == 0


async def test_only_those_who_are_served_are_let_go(waiting: Waiting) -> None:
    first = asyncio.create_task(waiting.reach(1))
    second = asyncio.create_task(waiting.reach(2))
    await asyncio.sleep(0.01)
    waiting.commit(1)
    await asyncio.wait_for(first, timeout=LONG / 2)
    assert not second.done()
    waiting.commit(2)
    await asyncio.wait_for(second, timeout=LONG / 2)


async def test_a_wait_in_vain_says_how_far_it_is(waiting: Waiting) -> None:
    waiting.commit(3)
    with pytest.raises(ProjectionLagging) as caught:
        await waiting.reach(4, seconds=0.01)
    assert (caught.value.position, caught.value.min_position) == (3, 4)
    assert caught.value.retry_delay_seconds


@pytest.mark.parametrize("remaining", [0.0, 0.06])
async def test_the_deadline_bounds_the_wait(waiting: Waiting, remaining: float) -> None:
    with pytest.raises(ProjectionLagging):
        await asyncio.wait_for(
            waiting.reach(4, seconds=LONG, remaining=remaining), timeout=LONG / 2
        )


async def test_a_store_that_is_away_for_a_moment_is_waited_out(
    waiting: Waiting,
) -> None:
    reaching = asyncio.create_task(waiting.reach(1))
    await asyncio.sleep(0.01)
    waiting.store.is_away = True
    waiting.commit(1)
    await asyncio.sleep(0.01)
    waiting.store.is_away = False
    waiting.wakes.wake()
    await asyncio.wait_for(reaching, timeout=LONG / 2)


async def test_a_store_that_is_away_is_an_error_for_who_comes(waiting: Waiting) -> None:
    waiting.store.is_away = True
    with pytest.raises(StoreUnavailable):
        await waiting.reach(1)


async def test_another_store_is_said_before_the_wait(waiting: Waiting) -> None:
    with pytest.raises(StoreMismatch):
        await waiting.consistency.reach(
            Requirement(min_position=9, max_wait_seconds=LONG, store_id="other"),
            projection="orders",
            time_remaining_seconds=None,
        )


async def test_who_leaves_is_forgotten(waiting: Waiting) -> None:
    reaching = asyncio.create_task(waiting.reach(1))
    await asyncio.sleep(0.01)
    reaching.cancel()
    await asyncio.gather(reaching, return_exceptions=True)
    assert not any(waiting.consistency._waiting.values())


async def test_beyond_the_limit_nobody_waits(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("read_server.consistency.WAITING_QUERIES_MAX", 3)
    waiting.store.position = 1
    patient = [asyncio.create_task(waiting.reach(2)) for _ in range(3)]
    await waiting.holds(3)
    with pytest.raises(ProjectionLagging) as caught:
        await asyncio.wait_for(waiting.reach(2), timeout=LONG / 2)
    assert caught.value.position == 1
    waiting.commit(2)
    await asyncio.wait_for(asyncio.gather(*patient), timeout=LONG / 2)
    late = asyncio.create_task(waiting.reach(3))
    await waiting.holds(1)
    waiting.commit(3)
    await asyncio.wait_for(late, timeout=LONG / 2)


async def test_beyond_the_limit_what_is_there_is_still_seen(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("read_server.consistency.WAITING_QUERIES_MAX", 0)
    waiting.store.position = 2
    await waiting.reach(2)


async def test_closing_lets_go_all_who_wait(waiting: Waiting) -> None:
    patient = [asyncio.create_task(waiting.reach(position)) for position in (1, 2, 2)]
    await waiting.holds(3)
    waiting.consistency.close()
    ended = await asyncio.wait_for(
        asyncio.gather(*patient, return_exceptions=True), timeout=LONG / 2
    )
    assert [type(error) for error in ended] == [ShuttingDown] * 3


async def test_closing_in_the_middle_of_a_look_is_not_missed(waiting: Waiting) -> None:
    waiting.store.during_look = waiting.consistency.close
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(waiting.reach(1), timeout=LONG / 2)


async def test_who_comes_after_closing_is_answered_or_told_at_once(
    waiting: Waiting,
) -> None:
    waiting.consistency.close()
    waiting.store.position = 1
    await waiting.reach(1)
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(waiting.reach(2), timeout=LONG / 2)
