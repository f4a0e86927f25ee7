"""A command that broke is tried again later, and those of its stream wait behind it."""

import asyncio

import pytest

from eventcore.command_gateway import WaitFor
from eventcore.errors import CommandQueueFull, EventCoreError
from eventcore.messages import CommandStage, Lane
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    LONG_SECONDS,
    SHORT_SECONDS,
    a_bus,
    accepted,
    breaks,
    call,
    calling,
    command_ids,
    depths,
    ids,
    is_empty,
    outcome_of,
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
from write_server.retries import BACKOFF_SECONDS_MAX, Retries


async def test_a_command_that_broke_is_tried_again_alone_and_then_answered() -> None:
    bus = a_bus()
    async with calling(call(bus, a_command())) as (answer,):
        batch = await to_execute(bus)
        breaks(bus, batch)
        assert depths(bus) == (0, 1, 0)
        async with calling(call(bus, other := a_command())):
            settle(bus, await to_execute(bus))  # Others go on.
            again = await to_execute(bus)
            assert ids(again) == ids(batch)
            assert again[0].attempts == 1
            settle(bus, again)
            assert (await answer).record.stage is CommandStage.COMMITTED
        assert other.command_id not in ids(again)
    assert is_empty(bus)


async def test_later_commands_of_the_stream_wait_behind_it_without_slots() -> None:
    bus = a_bus(3)
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(4)]
    async with calling(*(call(bus, envelope) for envelope in mine[:3])):
        batch = await to_execute(bus, 2)
        breaks(bus, batch)
        assert depths(bus) == (1, 3, 0)
        storing = await to_store(bus)
        assert ids(storing) == command_ids(mine[2:3])
        store(bus, storing)
        assert depths(bus) == (0, 3, 0)
        async with calling(call(bus, mine[3]), call(bus, other := a_command())):
            work = await bus.take(10)
            assert ids(work.to_execute) == [other.command_id]
            assert ids(work.to_store) == command_ids(mine[3:])
            settle(bus, work.to_execute)
            store(bus, work.to_store)
            assert await run_dry(bus) == command_ids(mine)
    assert is_empty(bus)


async def test_they_come_back_first_in_their_lane() -> None:
    bus = a_bus(backoff_seconds=LONG_SECONDS)
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(3)]
    others = [a_command() for _ in range(3)]
    async with calling(*(call(bus, e) for e in mine[:2])):
        breaks(bus, await to_execute(bus))
        async with calling(*(call(bus, e) for e in [*others, mine[2]])):
            bus._unpark(stream)
            store(bus, bus.admission.to_store)
            bus.admission.to_store = []
            assert ids(await to_execute(bus)) == command_ids(mine[:1])
            expected = command_ids([*mine[1:], *others])
            assert ids(await to_execute(bus)) == expected


async def test_a_caller_that_waits_for_acceptance_hears_that_it_is_stored() -> None:
    bus = a_bus()
    async with calling(outcome_of(bus, a_command(), wait_for=WaitFor.ACCEPTED)) as (
        answer,
    ):
        breaks(bus, await to_execute(bus))
        receipt = await answer
        assert (receipt.record.stage, receipt.record.attempts) == (
            CommandStage.ACCEPTED,
            1,
        )


async def test_a_caller_whose_time_ended_during_the_attempt_hears_that_too() -> None:
    bus = a_bus()
    # Long enough to be taken out of the queue, also where everything is slow.
    seconds = 50 * SHORT_SECONDS
    async with calling(call(bus, a_command(), seconds)) as (answer,):
        batch = await to_execute(bus)
        await seconds_pass(seconds)
        assert not answer.done()
        breaks(bus, batch)
        assert (await answer).record.stage is CommandStage.ACCEPTED


async def test_a_full_backlog_refuses_those_behind() -> None:
    bus = a_bus(backlog_capacity=1, backoff_seconds=LONG_SECONDS)
    stream = a_stream()
    async with calling(call(bus, a_command(stream=stream))):
        breaks(bus, await to_execute(bus))
        with pytest.raises(CommandQueueFull, match="backlog"):
            await call(bus, a_command(stream=stream))
        async with calling(call(bus, a_command())):
            assert depths(bus) == (1, 1, 0)


async def test_the_streams_lane_is_kept_while_it_is_parked() -> None:
    bus = a_bus(backoff_seconds=LONG_SECONDS)
    stream = a_stream()
    async with calling(call(bus, a_command(stream=stream, lane=Lane.BULK))):
        breaks(bus, await to_execute(bus))
        async with calling(call(bus, a_command(stream=stream, lane=Lane.CRITICAL))):
            assert depths(bus, Lane.BULK) == (0, 2, 0)
            (storing,) = await to_store(bus)
            assert storing.lane is Lane.BULK


async def test_what_is_behind_is_stored_again_when_the_store_fails() -> None:
    bus = a_bus()
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(2)]
    async with calling(*(call(bus, envelope) for envelope in mine)):
        breaks(bus, await to_execute(bus, 1))
        store_fails(bus, await to_store(bus))
        assert depths(bus) == (1, 2, 0)
        assert await run_dry(bus) == command_ids(mine)
    assert is_empty(bus)


async def test_a_stored_command_whose_outcome_cannot_be_stored_is_tried_again() -> None:
    bus = a_bus()
    bus.restore([queued("stored")], now=NOW)
    bus.settle(await to_execute(bus), [EventCoreError("not stored")])
    assert depths(bus) == (0, 1, 0)
    assert await run_dry(bus) == ["stored"]
    assert is_empty(bus)


async def test_a_command_that_is_given_up_lets_the_others_go_on() -> None:
    bus = a_bus()
    stream = a_stream()
    mine = [a_command(Count(by=n), stream) for n in range(2)]
    async with calling(*(call(bus, envelope) for envelope in mine)) as answers:
        breaks(bus, await to_execute(bus))
        (again,) = await to_execute(bus)
        bus.settle([again], [receipt_of(again, CommandStage.FAILED, attempts=2)])
        settle(bus, await to_execute(bus))
        stages = [r.record.stage for r in await asyncio.gather(*answers)]
    assert stages == [CommandStage.FAILED, CommandStage.COMMITTED]
    assert is_empty(bus)


async def test_a_command_of_which_an_earlier_commit_was_not_known_is_executed() -> None:
    bus = a_bus()
    async with calling(call(bus, envelope := a_command())) as (answer,):
        batch = await to_execute(bus)
        bus.settle(batch, [accepted(batch[0])])  # The journal had it all the time.
        assert await run_dry(bus) == [envelope.command_id]
        await answer
    assert is_empty(bus)


async def test_a_closed_bus_tries_nothing_again() -> None:
    bus = a_bus()
    async with calling(outcome_of(bus, a_command())) as (answer,):
        batch = await to_execute(bus)
        bus.close()
        breaks(bus, batch)
        assert await answer is None
        assert not await bus.take(10)
        assert not bus._retries._timers


async def test_waits_double_up_to_a_bound() -> None:
    retries = Retries(backoff_seconds=0.1)
    assert [retries.seconds_after(n) for n in (0, 1, 2, 3)] == [0.1, 0.1, 0.2, 0.4]
    assert retries.seconds_after(1000) == BACKOFF_SECONDS_MAX
