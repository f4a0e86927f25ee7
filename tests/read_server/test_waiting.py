"""Consistency by itself: whatever comes between looking and waiting is not missed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contexts.orders.read.order_events import ORDER_EVENTS
from contexts.orders.read.orders import ORDERS
from eventcore.errors import (
    PositionNotReached,
    ProjectionLagging,
    ProjectionRebuilding,
    ShuttingDown,
    StoreMismatch,
    StoreUnavailable,
    TooStale,
)
from eventcore.freshness import Requirement
from eventcore.projection import Projection
from eventcore.wake import WakeReceiver
from tests.read_server.waiting import LONG, Store, Waiting
from tests.support.eventually import eventually

SECOND = 1_000_000


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
    await waiting.holds(2)
    waiting.commit(1)
    await asyncio.wait_for(first, timeout=LONG / 2)
    assert not second.done()
    waiting.commit(2)
    await asyncio.wait_for(second, timeout=LONG / 2)


async def test_a_wait_in_vain_says_how_far_it_is(waiting: Waiting) -> None:
    waiting.commit(3)
    with pytest.raises(PositionNotReached) as caught:
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
    await waiting.holds(1)
    waiting.store.is_away = True
    waiting.commit(1)
    await eventually(lambda: waiting.store.refusals > 0)
    waiting.store.is_away = False
    waiting.wakes.wake()
    await asyncio.wait_for(reaching, timeout=LONG / 2)


async def test_a_store_that_is_away_is_an_error_for_who_comes(waiting: Waiting) -> None:
    waiting.store.is_away = True
    with pytest.raises(StoreUnavailable):
        await waiting.reach(1)


async def test_another_store_is_said_before_the_wait(waiting: Waiting) -> None:
    with pytest.raises(StoreMismatch):
        await waiting.demand(
            Requirement(min_position=9, max_wait_seconds=LONG, store_id="other")
        )


async def test_who_leaves_is_forgotten(waiting: Waiting) -> None:
    reaching = asyncio.create_task(waiting.reach(1))
    await waiting.holds(1)
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
    with pytest.raises(PositionNotReached) as caught:
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


def stale(seconds: float, *, wait_seconds: float = LONG, **more: Any) -> Requirement:
    return Requirement(
        max_staleness_seconds=seconds, max_wait_seconds=wait_seconds, **more
    )


async def test_what_is_not_too_old_costs_no_wait(waiting: Waiting) -> None:
    waiting.store.complete_time, waiting.now = 5 * SECOND, 7 * SECOND
    await waiting.demand(stale(2.0, wait_seconds=0))


async def test_what_is_too_old_is_waited_for_until_it_is_renewed(
    waiting: Waiting,
) -> None:
    waiting.store.complete_time, waiting.now = 5 * SECOND, 8 * SECOND
    reaching = asyncio.create_task(waiting.demand(stale(2.0)))
    await waiting.holds(1)
    waiting.wakes.wake()
    await waiting.holds(1)
    assert not reaching.done()
    waiting.store.complete_time = 6 * SECOND
    waiting.wakes.wake()
    await asyncio.wait_for(reaching, timeout=LONG / 2)


async def test_what_was_fresh_when_it_was_seen_grows_old(waiting: Waiting) -> None:
    """What is known of a read model is no answer for ever."""
    waiting.store.complete_time, waiting.now = 5 * SECOND, 5 * SECOND
    await waiting.demand(stale(2.0))
    waiting.now = 8 * SECOND
    with pytest.raises(TooStale) as caught:
        await waiting.demand(stale(2.0, wait_seconds=0))
    assert (caught.value.lag_seconds, caught.value.max_staleness_seconds) == (3.0, 2.0)


async def test_a_stale_answer_that_is_allowed_is_waited_for_first(
    waiting: Waiting,
) -> None:
    waiting.now = 9 * SECOND
    reaching = asyncio.create_task(waiting.demand(stale(2.0, allow_stale=True)))
    await waiting.holds(1)
    waiting.store.complete_time = 9 * SECOND
    waiting.wakes.wake()
    await asyncio.wait_for(reaching, timeout=LONG / 2)
    waiting.now = 20 * SECOND
    await waiting.demand(stale(2.0, wait_seconds=0.01, allow_stale=True))


async def test_below_the_first_page_nothing_is_allowed(waiting: Waiting) -> None:
    waiting.store.position = 4
    requirement = Requirement(
        min_position=9, floor_position=5, allow_stale=True, max_wait_seconds=0.01
    )
    with pytest.raises(PositionNotReached):
        await waiting.demand(requirement)
    waiting.store.position = 5
    await waiting.demand(requirement)


def rebuilding(projection: Projection) -> ProjectionRebuilding:
    return ProjectionRebuilding(projection.name, position=3, head_position=9)


async def test_a_read_model_that_is_being_made_is_waited_for(waiting: Waiting) -> None:
    waiting.store.instead["orders"] = rebuilding(ORDERS)
    reaching = asyncio.create_task(waiting.reach(0))
    await waiting.holds(1)
    del waiting.store.instead["orders"]
    waiting.wakes.wake()
    await asyncio.wait_for(reaching, timeout=LONG / 2)


async def test_one_that_stays_in_the_making_is_told_with_how_far_it_is(
    waiting: Waiting,
) -> None:
    waiting.store.instead["orders"] = rebuilding(ORDERS)
    with pytest.raises(ProjectionRebuilding) as caught:
        await waiting.reach(0, seconds=0.01)
    assert caught.value.facts == {
        "projection": "orders",
        "position": "3",
        "head_position": "9",
    }


@pytest.mark.parametrize(
    "instead", [rebuilding(ORDER_EVENTS), StoreUnavailable("not made yet")]
)
async def test_a_read_model_that_is_not_there_holds_up_no_other(
    waiting: Waiting, instead: Exception
) -> None:
    """Also where both are looked at together."""
    waiting.store.instead["order_events"] = instead
    waiting.store.position = 1
    absent = asyncio.create_task(
        waiting.reach(1, seconds=0.01, projection=ORDER_EVENTS)
    )
    present = asyncio.create_task(waiting.reach(1))
    await asyncio.wait_for(present, timeout=LONG / 2)
    with pytest.raises(type(instead)):
        await absent


async def test_looking_beyond_a_position_gives_what_there_is_after_the_time(
    waiting: Waiting,
) -> None:
    waiting.store.position = 3
    found = await waiting.consistency.beyond(3, projection=ORDERS, seconds=0.01)
    assert found.position == 3
    looking = asyncio.create_task(
        waiting.consistency.beyond(3, projection=ORDERS, seconds=LONG)
    )
    await waiting.holds(1)
    waiting.commit(7)
    found = await asyncio.wait_for(looking, timeout=LONG / 2)
    assert found.position == 7
