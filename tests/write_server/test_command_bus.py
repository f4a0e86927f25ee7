"""The command bus: who gets in, who waits, and who is told what. The tests are its writer."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    EventCoreError,
    ShuttingDown,
    StoreUnavailable,
)
from eventcore.messages import CommandEnvelope, Lane
from tests.support.envelopes import a_record, a_stream
from tests.support.eventually import eventually
from tests.write_server.things import Count, a_command
from write_server.batch import Outcome
from write_server.command_bus import CommandBus, Entry
from write_server.pace import Pace

LONG_SECONDS = 60.0
"""A wait that no test sees the end of."""
SHORT_SECONDS = 0.01


def a_bus(
    capacity: int = 10, *, pace: Pace | None = None, **capacities: int
) -> CommandBus:
    return CommandBus(
        {lane: capacities.get(lane.value, capacity) for lane in Lane},
        pace=pace or Pace(batch_commands_max=10),
    )


def receipt_of(entry: Entry) -> Receipt:
    return Receipt(record=a_record(entry.command_id, entry.stream))


def settle(bus: CommandBus, batch: Sequence[Entry]) -> None:
    bus.settle(batch, [receipt_of(entry) for entry in batch])


def ids(batch: Sequence[Entry]) -> list[str]:
    return [entry.command_id for entry in batch]


@asynccontextmanager
async def calling(
    *calls: Coroutine[Any, Any, Receipt],
) -> AsyncIterator[list[asyncio.Task[Receipt]]]:
    """Calls that have come as far as they can without the writer."""
    tasks = [asyncio.create_task(call) for call in calls]
    await _a_turn()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _a_turn() -> None:
    """Lets everything run that is ready to run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def call(
    bus: CommandBus, envelope: CommandEnvelope, wait_seconds: float = LONG_SECONDS
) -> Coroutine[Any, Any, Receipt]:
    return bus.submit(envelope, wait_seconds=wait_seconds)


def is_empty(bus: CommandBus) -> bool:
    return not bus._in_flight and not any(bus.lanes.depth(lane) for lane in Lane)


async def test_a_command_is_answered_with_its_outcome() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope)) as (answer,):
        batch = await bus.take(10)
        assert ids(batch) == [envelope.command_id]
        settle(bus, batch)
        assert await answer == receipt_of(batch[0])
    assert is_empty(bus)


async def test_each_call_of_a_batch_gets_its_own_outcome() -> None:
    bus = a_bus()
    good, bad = a_command(), a_command()
    async with calling(call(bus, good), call(bus, bad)) as (first, second):
        batch = await bus.take(10)
        bus.settle(batch, [receipt_of(batch[0]), StoreUnavailable()])
        assert (await first).record.command_id == good.command_id
        with pytest.raises(StoreUnavailable):
            await second


async def test_the_writer_waits_for_the_first_command() -> None:
    bus = a_bus()
    taking = asyncio.create_task(bus.take(10))
    await _a_turn()
    assert not taking.done()
    envelope = a_command()
    async with calling(call(bus, envelope)):
        assert ids(await taking) == [envelope.command_id]


async def test_a_full_lane_refuses_and_keeps_nothing() -> None:
    bus = a_bus(2, critical=7)
    refused = a_command()
    async with calling(call(bus, a_command()), call(bus, a_command())):
        with pytest.raises(CommandQueueFull) as raised:
            await call(bus, refused)
        error = raised.value
        assert (error.lane, error.depth, error.capacity) == (Lane.NORMAL, 2, 2)
        assert (error.retry_delay_seconds or 0) > 0
        assert dict(error.facts) == {"lane": "normal", "depth": "2", "capacity": "2"}
        assert bus.lanes.depth(Lane.NORMAL) == 2
        assert refused.command_id not in ids(await bus.take(10))


async def test_other_lanes_have_room_while_one_is_full() -> None:
    bus = a_bus(1)
    async with calling(
        call(bus, a_command(lane=Lane.BULK)), call(bus, a_command(lane=Lane.CRITICAL))
    ):
        assert len(await bus.take(10)) == 2


async def test_a_slot_is_held_until_the_outcome_is_settled() -> None:
    bus = a_bus(1)
    async with calling(call(bus, a_command())) as (answer,):
        batch = await bus.take(10)
        with pytest.raises(CommandQueueFull):
            await call(bus, a_command())
        settle(bus, batch)
        async with calling(call(bus, a_command())) as (next_answer,):
            settle(bus, await bus.take(10))
            await asyncio.gather(answer, next_answer)


async def test_a_command_queues_behind_those_of_its_stream_in_their_lane() -> None:
    bus = a_bus()
    stream = a_stream()
    envelopes = [
        a_command(stream=stream, lane=lane) for lane in (Lane.BULK, Lane.CRITICAL)
    ]
    async with calling(*(call(bus, envelope) for envelope in envelopes)):
        batch = await bus.take(10)
    assert ids(batch) == [envelope.command_id for envelope in envelopes]
    assert {entry.envelope.lane for entry in batch} == {Lane.BULK}


async def test_a_repeated_command_joins_the_one_in_flight() -> None:
    bus = a_bus(1)
    envelope = a_command()
    async with calling(*(call(bus, envelope) for _ in range(3))) as answers:
        assert bus.lanes.depth(Lane.NORMAL) == 1
        batch = await bus.take(10)
        async with calling(call(bus, envelope)) as (late,):
            settle(bus, batch)
            receipts = await asyncio.gather(*answers, late)
    assert len(batch) == 1
    assert [receipt.deduplicated for receipt in receipts] == [False, True, True, True]
    assert {receipt.record.command_id for receipt in receipts} == {envelope.command_id}


async def test_calls_that_joined_get_the_same_error() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(*(call(bus, envelope) for _ in range(3))) as answers:
        bus.settle(await bus.take(10), [StoreUnavailable()])
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3


async def test_an_id_in_flight_is_not_for_other_content() -> None:
    bus = a_bus()
    envelope = a_command()
    other = a_command(Count(by=1), envelope.stream, command_id=envelope.command_id)
    async with calling(call(bus, envelope)):
        with pytest.raises(CommandIdReused):
            await call(bus, other)
        assert [entry.envelope for entry in await bus.take(10)] == [envelope]


async def test_a_wait_that_ends_in_the_queue_withdraws_the_command() -> None:
    bus = a_bus()
    with pytest.raises(CommandQueueFull, match="has passed"):
        await call(bus, a_command(), SHORT_SECONDS)
    assert is_empty(bus)


async def test_a_wait_that_ends_leaves_the_command_to_another_call() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope, SHORT_SECONDS), call(bus, envelope)) as (
        impatient,
        patient,
    ):
        with pytest.raises(CommandQueueFull):
            await impatient
        assert bus.lanes.depth(Lane.NORMAL) == 1
        settle(bus, await bus.take(10))
        assert (await patient).record.command_id == envelope.command_id


async def test_a_call_that_joined_keeps_its_own_deadline() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope), call(bus, envelope, SHORT_SECONDS)) as (
        patient,
        impatient,
    ):
        with pytest.raises(CommandQueueFull):
            await impatient
        settle(bus, await bus.take(10))
        assert not (await patient).deduplicated


async def test_a_wait_that_ends_during_the_commit_waits_for_it() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command(), SHORT_SECONDS)) as (answer,):
        batch = await bus.take(10)
        ended = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * SHORT_SECONDS, ended.set)
        await ended.wait()
        assert not answer.done()
        settle(bus, batch)
        assert (await answer).record.command_id == batch[0].command_id


async def test_no_wait_at_all_is_enough_for_an_idle_writer() -> None:
    bus = a_bus()
    taking = asyncio.create_task(bus.take(10))
    await _a_turn()
    async with calling(call(bus, a_command(), 0)) as (answer,):
        settle(bus, await taking)
        await answer


async def test_a_call_that_is_cancelled_withdraws_its_command() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as (first, _):
        first.cancel()
        await _a_turn()
        assert bus.lanes.depth(Lane.NORMAL) == 1
    assert is_empty(bus)


async def test_a_call_that_is_cancelled_leaves_the_command_to_another_call() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope), call(bus, envelope)) as (first, second):
        first.cancel()
        await _a_turn()
        settle(bus, await bus.take(10))
        assert (await second).deduplicated


async def test_a_call_that_is_cancelled_during_the_commit_holds_up_nothing() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command())) as (answer,):
        batch = await bus.take(10)
        answer.cancel()
        await _a_turn()
        assert bus.lanes.depth(Lane.NORMAL) == 1
        settle(bus, batch)
    assert is_empty(bus)


async def test_a_call_may_be_cancelled_in_the_moment_in_which_its_wait_ends() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command())) as (answer,):
        (entry,) = bus._in_flight.values()
        (waiter,) = entry.waiters
        bus._expire(entry, waiter)
        answer.cancel()  # The call has its answer, and has not run to take it.
        with pytest.raises(asyncio.CancelledError):
            await answer
    assert is_empty(bus)


async def test_a_command_that_was_withdrawn_can_come_again() -> None:
    bus = a_bus()
    envelope = a_command()
    with pytest.raises(CommandQueueFull):
        await call(bus, envelope, SHORT_SECONDS)
    async with calling(call(bus, envelope)) as (answer,):
        settle(bus, await bus.take(10))
        assert not (await answer).deduplicated


async def test_a_deadline_that_would_pass_in_the_queue_is_refused_at_once() -> None:
    pace = Pace(batch_commands_max=1)
    pace.observe(commands=1, seconds=1.0)
    bus = a_bus(pace=pace)
    async with calling(*(call(bus, a_command()) for _ in range(5))):
        with pytest.raises(CommandQueueFull, match="would pass"):
            await call(bus, a_command(), 4.0)
        async with calling(call(bus, a_command(), 6.0)):
            assert bus.lanes.depth(Lane.NORMAL) == 6


async def test_a_time_to_wait_that_is_over_is_refused_at_once() -> None:
    bus = a_bus()
    with pytest.raises(CommandQueueFull, match="would pass"):
        await call(bus, a_command(), -0.01)
    assert is_empty(bus)


async def test_a_closed_bus_admits_nothing_and_drains() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope)) as (answer,):
        bus.close()
        with pytest.raises(ShuttingDown):
            await call(bus, a_command())
        async with calling(call(bus, envelope)) as (joined,):
            settle(bus, await bus.take(10))
            assert [(await answer).deduplicated, (await joined).deduplicated] == [
                False,
                True,
            ]
    assert await bus.take(10) == []


async def test_closing_wakes_a_writer_that_waits() -> None:
    bus = a_bus()
    taking = asyncio.create_task(bus.take(10))
    await _a_turn()
    bus.close()
    assert await taking == []


async def test_everyone_is_answered_when_the_writer_ends() -> None:
    bus = a_bus()
    envelopes = [a_command(lane=lane) for lane in Lane for _ in range(2)]
    calls = [call(bus, envelope) for envelope in [*envelopes, envelopes[0]]]
    async with calling(*calls) as answers:
        assert len(await bus.take(2)) == 2
        bus.fail_all(StoreUnavailable())
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 7
    assert is_empty(bus)
    assert await bus.take(10) == []
    with pytest.raises(ShuttingDown):
        await call(bus, a_command())


async def _seconds_to_cancel(make: Callable[[], CommandEnvelope], count: int) -> float:
    bus = a_bus(count)
    async with calling(*(call(bus, make()) for _ in range(count))) as answers:
        await eventually(
            lambda: sum(len(e.waiters) for e in bus._in_flight.values()) == count
        )
        gc.disable()  # Its time grows with all that other tests have left behind.
        began = time.thread_time()
        for answer in reversed(answers):
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        seconds = time.thread_time() - began
        gc.enable()
    assert is_empty(bus)
    return seconds


@pytest.mark.parametrize("same", [False, True], ids=["different", "the same"])
async def test_ten_thousand_calls_withdraw_in_linear_time(same: bool) -> None:  # noqa: FBT001
    envelope = a_command()
    make: Callable[[], CommandEnvelope] = (lambda: envelope) if same else a_command
    ratios = []
    for _ in range(3):  # The machine may be busy with something else for a moment.
        few = await _seconds_to_cancel(make, 500)
        many = await _seconds_to_cancel(make, 10_000)
        ratios.append(many / few)
        if ratios[-1] < 50:
            return
    raise AssertionError(f"20 times the calls take {ratios} times as long")


async def test_outcomes_of_a_batch_come_in_its_order() -> None:
    bus = a_bus()
    envelopes = [a_command() for _ in range(5)]
    async with calling(*(call(bus, envelope) for envelope in envelopes)) as answers:
        batch = await bus.take(5)
        outcomes: list[Outcome] = [receipt_of(entry) for entry in batch]
        outcomes[2] = EventCoreError("broke")
        bus.settle(batch, outcomes)
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [
        result.record.command_id if isinstance(result, Receipt) else "broke"
        for result in results
    ] == [
        "broke" if number == 2 else envelope.command_id
        for number, envelope in enumerate(envelopes)
    ]
