"""StreamCommands: they hold half of a lane at most, and wait for room for as long as it takes."""

import asyncio

import pytest

from eventcore.command_gateway import Receipt, WaitFor
from eventcore.errors import CommandQueueFull, ShuttingDown
from eventcore.messages import CommandEnvelope, CommandStage, Lane
from eventcore.write_administration import FullPolicy
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    LONG_SECONDS,
    SHORT_SECONDS,
    a_bus,
    a_turn,
    breaks,
    call,
    calling,
    command_ids,
    depths,
    ids,
    is_empty,
    outcome_of,
    run_dry,
    seconds_pass,
    settle,
    store,
    to_execute,
    to_store,
)
from tests.write_server.things import Count, a_command
from write_server.command_bus import CommandBus


async def streamed(
    bus: CommandBus, envelope: CommandEnvelope, wait_seconds: float = LONG_SECONDS
) -> Receipt | None:
    return await outcome_of(bus, envelope, wait_seconds, of_stream=True)


async def test_streams_hold_half_of_a_lane_and_calls_find_room() -> None:
    bus = a_bus(4)
    async with calling(*(streamed(bus, a_command()) for _ in range(5))):
        assert depths(bus) == (2, 0, 0)
        async with calling(call(bus, a_command()), call(bus, a_command())):
            assert depths(bus) == (4, 0, 0)
            with pytest.raises(CommandQueueFull):
                await call(bus, a_command())
    assert is_empty(bus)


async def test_in_a_lane_of_one_slot_streams_get_it_too() -> None:
    bus = a_bus(1)
    envelopes = [a_command() for _ in range(3)]
    async with calling(*(streamed(bus, e) for e in envelopes)) as answers:
        assert await run_dry(bus) == command_ids(envelopes)
        await asyncio.gather(*answers)
    assert is_empty(bus)


async def test_a_streams_time_counts_from_when_it_is_taken_in() -> None:
    bus = a_bus(1)
    async with calling(
        streamed(bus, a_command()), streamed(bus, a_command(), SHORT_SECONDS)
    ) as (_, late):
        await seconds_pass(3 * SHORT_SECONDS)
        assert not late.done()
        settle(bus, await to_execute(bus))
        with pytest.raises(CommandQueueFull):
            await late


async def test_streams_never_overflow() -> None:
    bus = a_bus(2, full_policy=FullPolicy.OVERFLOW)
    async with calling(*(streamed(bus, a_command()) for _ in range(3))):
        assert depths(bus) == (1, 0, 0)
        async with calling(*(call(bus, a_command()) for _ in range(2))):
            assert depths(bus) == (2, 1, 0)
    store(bus, bus.admission.to_store)


async def test_streams_are_stored_during_a_pause() -> None:
    bus = a_bus(2)
    async with calling(
        *(
            outcome_of(bus, a_command(), wait_for=WaitFor.ACCEPTED, of_stream=True)
            for _ in range(3)
        )
    ) as answers:
        bus.pause()
        store(bus, await to_store(bus))
        receipts = await asyncio.gather(*answers)
        assert {r.record.stage for r in receipts} == {CommandStage.ACCEPTED}
        assert depths(bus) == (0, 3, 0)


async def test_streams_wait_while_the_backlog_of_a_pause_is_full() -> None:
    bus = a_bus(2, backlog_capacity=1)
    bus.pause()
    async with calling(*(streamed(bus, a_command()) for _ in range(2))):
        assert depths(bus) == (0, 1, 0)
        store(bus, await to_store(bus))
        bus.resume()
        assert depths(bus) == (1, 1, 0)
        assert len(await run_dry(bus)) == 2
    assert is_empty(bus)


async def test_a_streams_command_behind_one_that_broke_is_stored() -> None:
    bus = a_bus(1)
    stream = a_stream()
    async with calling(streamed(bus, a_command(stream=stream))):
        breaks(bus, await to_execute(bus))
        async with calling(streamed(bus, a_command(stream=stream))):
            assert depths(bus) == (0, 2, 0)
            store(bus, await to_store(bus))


async def test_a_call_may_pass_a_streams_command_that_is_not_taken_in() -> None:
    bus = a_bus(3)
    stream = a_stream()
    early, late = (a_command(Count(by=n), stream) for n in range(2))
    async with calling(
        streamed(bus, a_command()), streamed(bus, early), call(bus, late)
    ):
        assert depths(bus) == (2, 0, 0)
        bus.pause()  # The order on disk is that in which they were taken in.
        storing = await to_store(bus)
        assert ids(storing)[1:] == command_ids([late, early])
        store(bus, storing)


async def test_a_stream_that_ends_while_it_waits_leaves_nothing() -> None:
    bus = a_bus(2)
    async with calling(streamed(bus, a_command()), streamed(bus, a_command())) as (
        first,
        second,
    ):
        second.cancel()
        await a_turn()
        assert depths(bus) == (1, 0, 0)
        first.cancel()
        await a_turn()
    assert is_empty(bus)


async def test_closing_turns_away_streams_that_wait() -> None:
    bus = a_bus(1)
    async with calling(streamed(bus, a_command()), streamed(bus, a_command())) as (
        _,
        held,
    ):
        bus.close()
        with pytest.raises(ShuttingDown):
            await held
        settle(bus, await to_execute(bus))
    assert is_empty(bus)


async def test_streams_of_one_lane_do_not_wait_for_another() -> None:
    bus = a_bus(2)
    async with calling(
        streamed(bus, a_command(lane=Lane.BULK)),
        streamed(bus, a_command(lane=Lane.BULK)),
        streamed(bus, a_command()),
    ):
        assert depths(bus, Lane.BULK) == depths(bus) == (1, 0, 0)
