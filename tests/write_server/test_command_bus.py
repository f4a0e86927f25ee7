"""The command bus: who gets in, who waits, and who is told what. The tests are its writer."""

import asyncio

import pytest

from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    EventCoreError,
    StoreUnavailable,
)
from eventcore.messages import Lane
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    SHORT_SECONDS,
    a_bus,
    a_turn,
    call,
    calling,
    ids,
    is_empty,
    receipt_of,
    seconds_pass,
    settle,
    to_execute,
)
from tests.write_server.things import Count, a_command
from write_server.pace import Pace
from write_server.rules import LaneRule


async def test_a_command_is_answered_with_its_outcome() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope)) as (answer,):
        batch = await to_execute(bus)
        assert ids(batch) == [envelope.command_id]
        settle(bus, batch)
        assert await answer == receipt_of(batch[0])
    assert is_empty(bus)


async def test_each_call_of_a_batch_gets_its_own_outcome() -> None:
    bus = a_bus()
    good, bad = a_command(), a_command()
    async with calling(call(bus, good), call(bus, bad)) as (first, second):
        batch = await to_execute(bus)
        bus.settle(batch, [receipt_of(batch[0]), StoreUnavailable()])
        assert (await first).record.command_id == good.command_id
        with pytest.raises(StoreUnavailable):
            await second


async def test_the_writer_waits_for_the_first_command() -> None:
    bus = a_bus()
    taking = asyncio.create_task(to_execute(bus))
    await a_turn()
    assert not taking.done()
    envelope = a_command()
    async with calling(call(bus, envelope)):
        assert ids(await taking) == [envelope.command_id]


async def test_a_full_lane_refuses_and_keeps_nothing() -> None:
    bus = a_bus(2, rules={Lane.CRITICAL: LaneRule(capacity=7)})
    refused = a_command()
    async with calling(call(bus, a_command()), call(bus, a_command())):
        with pytest.raises(CommandQueueFull) as raised:
            await call(bus, refused)
        error = raised.value
        assert (error.lane, error.depth, error.capacity) == (Lane.NORMAL, 2, 2)
        assert (error.retry_delay_seconds or 0) > 0
        assert dict(error.facts) == {"lane": "normal", "depth": "2", "capacity": "2"}
        assert bus.lanes.depth(Lane.NORMAL) == 2
        assert refused.command_id not in ids(await to_execute(bus))


async def test_other_lanes_have_room_while_one_is_full() -> None:
    bus = a_bus(1)
    async with calling(
        call(bus, a_command(lane=Lane.BULK)), call(bus, a_command(lane=Lane.CRITICAL))
    ):
        assert len(await to_execute(bus)) == 2


async def test_a_slot_is_held_until_the_outcome_is_settled() -> None:
    bus = a_bus(1)
    async with calling(call(bus, a_command())) as (answer,):
        batch = await to_execute(bus)
        with pytest.raises(CommandQueueFull):
            await call(bus, a_command())
        settle(bus, batch)
        async with calling(call(bus, a_command())) as (next_answer,):
            settle(bus, await to_execute(bus))
            await asyncio.gather(answer, next_answer)


async def test_a_command_queues_behind_those_of_its_stream_in_their_lane() -> None:
    bus = a_bus()
    stream = a_stream()
    envelopes = [
        a_command(stream=stream, lane=lane) for lane in (Lane.BULK, Lane.CRITICAL)
    ]
    async with calling(*(call(bus, envelope) for envelope in envelopes)):
        batch = await to_execute(bus)
    assert ids(batch) == [envelope.command_id for envelope in envelopes]
    assert {entry.lane for entry in batch} == {Lane.BULK}


async def test_a_repeated_command_joins_the_one_in_flight() -> None:
    bus = a_bus(1)
    envelope = a_command()
    async with calling(*(call(bus, envelope) for _ in range(3))) as answers:
        assert bus.lanes.depth(Lane.NORMAL) == 1
        batch = await to_execute(bus)
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
        bus.settle(await to_execute(bus), [StoreUnavailable()])
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3


async def test_an_id_in_flight_is_not_for_other_content() -> None:
    bus = a_bus()
    envelope = a_command()
    other = a_command(Count(by=1), envelope.stream, command_id=envelope.command_id)
    async with calling(call(bus, envelope)):
        with pytest.raises(CommandIdReused):
            await call(bus, other)
        assert [entry.envelope for entry in await to_execute(bus)] == [envelope]


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
        settle(bus, await to_execute(bus))
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
        settle(bus, await to_execute(bus))
        assert not (await patient).deduplicated


async def test_a_wait_that_ends_during_the_commit_waits_for_it() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command(), SHORT_SECONDS)) as (answer,):
        batch = await to_execute(bus)
        await seconds_pass(2 * SHORT_SECONDS)
        assert not answer.done()
        settle(bus, batch)
        assert (await answer).record.command_id == batch[0].command_id


async def test_no_wait_at_all_is_enough_for_an_idle_writer() -> None:
    bus = a_bus()
    taking = asyncio.create_task(to_execute(bus))
    await a_turn()
    async with calling(call(bus, a_command(), 0)) as (answer,):
        settle(bus, await taking)
        await answer


async def test_a_call_that_is_cancelled_withdraws_its_command() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as (first, _):
        first.cancel()
        await a_turn()
        assert bus.lanes.depth(Lane.NORMAL) == 1
    assert is_empty(bus)


async def test_a_call_that_is_cancelled_leaves_the_command_to_another_call() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope), call(bus, envelope)) as (first, second):
        first.cancel()
        await a_turn()
        settle(bus, await to_execute(bus))
        assert (await second).deduplicated


async def test_a_call_that_is_cancelled_during_the_commit_holds_up_nothing() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command())) as (answer,):
        batch = await to_execute(bus)
        answer.cancel()
        await a_turn()
        assert bus.lanes.depth(Lane.NORMAL) == 1
        settle(bus, batch)
    assert is_empty(bus)


async def test_a_call_may_be_cancelled_in_the_moment_in_which_its_wait_ends() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command())) as (answer,):
        (entry,) = bus._in_flight.values()
        (waiting,) = entry.calls
        bus._expire(waiting)
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
        settle(bus, await to_execute(bus))
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


async def test_outcomes_of_a_batch_come_in_its_order() -> None:
    bus = a_bus()
    envelopes = [a_command() for _ in range(5)]
    async with calling(*(call(bus, envelope) for envelope in envelopes)) as answers:
        batch = await to_execute(bus, 5)
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
