"""Commands that are stored to be executed later: when a lane overflows, and during a pause."""

import asyncio
from typing import Any

import pytest

from eventcore.command_gateway import WaitFor
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    StoreUnavailable,
)
from eventcore.messages import CommandStage, Lane
from eventcore.write_administration import FullPolicy
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    SHORT_SECONDS,
    a_bus,
    a_turn,
    accepted,
    call,
    calling,
    command_ids,
    depths,
    ids,
    is_empty,
    outcome_of,
    outcomes_of,
    queued,
    receipt_of,
    run_dry,
    seconds_pass,
    settle,
    store,
    store_fails,
    to_execute,
    to_store,
)
from tests.write_server.things import NOW, Count, a_command
from write_server.command_bus import CommandBus
from write_server.rules import LaneRule


def an_overflowing_bus(capacity: int = 1, **rule: Any) -> CommandBus:
    return a_bus(capacity, full_policy=FullPolicy.OVERFLOW, **rule)


async def test_what_has_no_slot_is_stored_and_accepted() -> None:
    bus = an_overflowing_bus()
    async with calling(
        call(bus, a_command()),
        outcome_of(bus, a_command(), wait_for=WaitFor.ACCEPTED),
    ) as (first, second):
        work = await bus.take(10)
        assert (len(work.to_execute), len(work.to_store)) == (1, 1)
        assert depths(bus) == (1, 1, 0)
        store(bus, work.to_store)
        assert (await second).record.stage is CommandStage.ACCEPTED
        assert not first.done()


async def test_a_call_that_wants_the_outcome_waits_for_it_on_disk_too() -> None:
    bus = an_overflowing_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as answers:
        await run_dry(bus)
        stages = {receipt.record.stage for receipt in await asyncio.gather(*answers)}
        assert stages == {CommandStage.COMMITTED}
    assert is_empty(bus)


async def test_while_there_is_a_backlog_new_commands_go_behind_it() -> None:
    bus = an_overflowing_bus(2)
    envelopes = [a_command() for _ in range(4)]
    async with calling(*(call(bus, envelope) for envelope in envelopes)):
        work = await bus.take(10)
        settle(bus, work.to_execute)
        store(bus, work.to_store)
        assert depths(bus) == (0, 2, 0)
        async with calling(call(bus, last := a_command())):
            assert depths(bus) == (0, 3, 0)
            assert await run_dry(bus) == command_ids([*envelopes[2:], last])
        assert is_empty(bus)
        async with calling(call(bus, a_command())):
            assert depths(bus) == (1, 0, 0)


async def test_a_backlog_is_bounded() -> None:
    bus = an_overflowing_bus(backlog_capacity=2)
    async with calling(*(call(bus, a_command()) for _ in range(3))):
        with pytest.raises(CommandQueueFull, match="backlog"):
            await call(bus, a_command())
        assert depths(bus) == (1, 2, 0)


async def test_one_lane_overflows_and_another_refuses() -> None:
    overflows = LaneRule(capacity=1, full_policy=FullPolicy.OVERFLOW)
    bus = a_bus(1, rules={Lane.BULK: overflows})
    async with calling(
        *(call(bus, a_command(lane=lane)) for lane in (Lane.BULK, Lane.NORMAL)),
        call(bus, a_command(lane=Lane.BULK)),
    ):
        assert depths(bus, Lane.BULK) == (1, 1, 0)
        with pytest.raises(CommandQueueFull):
            await call(bus, a_command())


async def test_what_waits_of_a_stream_in_memory_is_stored_before_its_later_ones() -> (
    None
):
    bus = an_overflowing_bus(2)
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(2)]
    async with calling(call(bus, mine[0]), call(bus, a_command()), call(bus, mine[1])):
        assert depths(bus) == (2, 2, 0)
        work = await bus.take(10)
        assert ids(work.to_store) == command_ids(mine)
        assert (
            work.to_execute == []
        )  # The lane keeps its order: its first is being stored.
        store(bus, work.to_store)
        assert depths(bus) == (1, 2, 0)
        assert [e for e in await run_dry(bus) if e in command_ids(mine)] == (
            command_ids(mine)
        )
    assert is_empty(bus)


async def test_a_pause_executes_nothing_and_stores_all() -> None:
    bus = a_bus(5)
    envelopes = [a_command() for _ in range(3)]
    async with calling(*(call(bus, envelope) for envelope in envelopes[:2])):
        bus.pause()
        async with calling(call(bus, envelopes[2])):
            storing = await to_store(bus)
            assert ids(storing) == command_ids(envelopes)
            store(bus, storing)
            assert depths(bus) == (0, 3, 0)
            taking = asyncio.create_task(to_execute(bus))
            await a_turn()
            assert not taking.done()
            bus.resume()
            assert ids(await taking) == command_ids(envelopes)


async def test_a_wait_that_ends_for_a_stored_command_says_that_it_is_stored() -> None:
    bus = a_bus()
    bus.pause()
    async with calling(outcome_of(bus, a_command(), SHORT_SECONDS)) as (answer,):
        storing = await to_store(bus)
        await seconds_pass(2 * SHORT_SECONDS)
        assert not answer.done()  # It waits for the commit that is under way.
        store(bus, storing)
        assert (await answer).record.stage is CommandStage.ACCEPTED
    async with calling(outcome_of(bus, a_command(), SHORT_SECONDS)) as (answer,):
        store(bus, await to_store(bus))
        assert await answer is None
    assert depths(bus) == (0, 2, 0)
    assert bus.admission.refused[Lane.NORMAL] == 0


async def test_a_repeated_command_that_is_stored_is_answered_at_once() -> None:
    bus = a_bus()
    bus.pause()
    envelope = a_command()
    async with calling(call(bus, envelope)):
        store(bus, await to_store(bus))
        assert await outcomes_of(bus, [envelope], wait_for=WaitFor.ACCEPTED) == [None]
        other = a_command(Count(by=1), envelope.stream, command_id=envelope.command_id)
        with pytest.raises(CommandIdReused):
            await call(bus, other)


async def test_a_stored_command_outlives_its_callers() -> None:
    bus = a_bus()
    bus.pause()
    async with calling(call(bus, a_command())):
        storing = await to_store(bus)
    store(bus, storing)
    bus.resume()
    assert await run_dry(bus) == ids(storing)
    assert is_empty(bus)


async def test_a_command_that_is_found_when_it_is_stored_has_its_outcome() -> None:
    bus = a_bus()
    bus.pause()
    done, reused = a_command(), a_command()
    async with calling(outcomes_of(bus, [done, reused])) as (answers,):
        storing = await to_store(bus)
        bus.stored(storing, [receipt_of(storing[0]), CommandIdReused("id")])
        receipt, error = await answers
    assert receipt.record.stage is CommandStage.COMMITTED
    assert isinstance(error, CommandIdReused)
    assert is_empty(bus)


async def test_a_command_that_cannot_be_stored_is_forgotten() -> None:
    bus = an_overflowing_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as (_, stored):
        work = await bus.take(10)
        store_fails(bus, work.to_store)
        with pytest.raises(StoreUnavailable):
            await stored
        assert depths(bus) == (1, 0, 0)
        settle(bus, work.to_execute)
    assert is_empty(bus)


async def test_what_was_in_memory_waits_there_on_when_the_store_fails() -> None:
    bus = an_overflowing_bus(2)
    stream = a_stream()
    first, late = (a_command(Count(by=n), stream) for n in range(2))
    async with calling(call(bus, first), call(bus, a_command()), call(bus, late)) as (
        answer,
        _,
        failing,
    ):
        store_fails(bus, await to_store(bus))
        with pytest.raises(StoreUnavailable):
            await failing
        assert depths(bus) == (2, 0, 0)
        settle(bus, await to_execute(bus))
        assert not (await answer).deduplicated
    assert is_empty(bus)


async def test_a_caller_whose_time_is_over_hears_that_the_commit_failed() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command(), SHORT_SECONDS)) as (answer,):
        bus.pause()
        storing = await to_store(bus)
        await seconds_pass(2 * SHORT_SECONDS)
        bus.resume()
        store_fails(bus, storing)
        with pytest.raises(StoreUnavailable):
            await answer
    assert is_empty(bus)


async def test_a_command_whose_callers_left_is_withdrawn_when_the_commit_fails() -> (
    None
):
    bus = a_bus()
    async with calling(call(bus, a_command())):
        bus.pause()
        storing = await to_store(bus)
        bus.resume()
    assert not is_empty(bus)
    store_fails(bus, storing)
    assert is_empty(bus)


async def test_during_a_pause_storing_is_tried_again_after_a_moment() -> None:
    bus = a_bus()
    envelopes = [a_command() for _ in range(2)]
    async with calling(*(call(bus, envelope) for envelope in envelopes)):
        bus.pause()
        store_fails(bus, await to_store(bus))
        assert not bus._next(10)  # Not at once: the store is away.
        store(bus, storing := await to_store(bus))
        assert ids(storing) == command_ids(envelopes)
        assert depths(bus) == (0, 2, 0)


async def test_a_command_is_not_stored_after_its_later_one() -> None:
    bus = an_overflowing_bus(2)
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(3)]
    async with calling(*(call(bus, e) for e in (mine[0], a_command(), *mine[1:]))):
        first = await to_store(bus, 2)
        assert ids(first) == command_ids(mine[:2])
        store_fails(bus, first)
        await seconds_pass(2 * SHORT_SECONDS)
        assert ids(await to_store(bus)) == command_ids([mine[0], mine[2]])


async def test_stored_commands_are_first_again_when_the_store_is_away() -> None:
    bus = a_bus()
    bus.restore([queued(f"stored-{n}") for n in range(3)], now=NOW)
    batch = await to_execute(bus, 2)
    bus.settle(batch, [StoreUnavailable()] * 2)
    assert depths(bus) == (0, 3, 0)
    assert await run_dry(bus) == [f"stored-{n}" for n in range(3)]
    assert is_empty(bus)


async def test_what_is_restored_is_first_and_new_ones_of_its_stream_follow() -> None:
    bus = a_bus()
    stream = a_stream()
    bus.restore([queued("stored", stream, lane=Lane.BULK)], now=NOW)
    async with calling(call(bus, new := a_command(stream=stream))):
        batch = await to_execute(bus)
        assert ids(batch) == ["stored", new.command_id]
        assert {entry.lane for entry in batch} == {Lane.BULK}


async def test_a_command_that_is_restored_while_it_waits_here_is_executed_once() -> (
    None
):
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope)) as (answer,):
        bus.restore([queued(envelope.command_id, envelope.stream)], now=NOW)
        assert depths(bus) == (0, 1, 0)
        assert await run_dry(bus) == [envelope.command_id]
        await answer
    assert is_empty(bus)


async def test_a_closed_bus_executes_what_is_in_memory_and_leaves_what_is_stored() -> (
    None
):
    bus = a_bus()
    stream = a_stream()
    bus.restore([queued("stored", stream), queued("other")], now=NOW)
    behind, free = a_command(stream=stream), a_command()
    async with calling(outcome_of(bus, behind), call(bus, free)) as (stored, executed):
        bus.close()
        work = await bus.take(10)
        assert ids(work.to_execute) == [free.command_id]
        assert ids(work.to_store) == [
            behind.command_id
        ]  # Not before its stream's first.
        settle(bus, work.to_execute)
        bus.stored(work.to_store, [accepted(e) for e in work.to_store])
        assert not await bus.take(10)
        assert (await executed).record.command_id == free.command_id
        assert (await stored) is None


async def test_a_closed_bus_tells_who_waits_for_what_is_stored() -> None:
    bus = a_bus()
    bus.pause()
    async with calling(outcome_of(bus, a_command())) as (answer,):
        store(bus, await to_store(bus))
        bus.close()
        assert await answer is None
        assert not await bus.take(10)


async def test_a_closed_bus_does_not_wait_for_a_store_that_is_away() -> None:
    bus = a_bus()
    bus.restore([queued("stored")], now=NOW)
    batch = await to_execute(bus)
    async with calling(call(bus, a_command())) as (answer,):
        bus.pause()
        storing = await to_store(bus)
        bus.close()
        bus.settle(batch, [StoreUnavailable()])
        store_fails(bus, storing)
        with pytest.raises(StoreUnavailable):
            await answer
        assert not await bus.take(10)
