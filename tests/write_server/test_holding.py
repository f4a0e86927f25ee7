"""The policy `wait`: calls are held back until there is room, first come, first served."""

import asyncio
from typing import Any

import pytest

from eventcore.command_gateway import WaitFor
from eventcore.errors import CommandQueueFull, InvalidFields, ShuttingDown
from eventcore.messages import Lane
from eventcore.write_administration import FullPolicy
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    LONG_SECONDS,
    SHORT_SECONDS,
    a_bus,
    a_turn,
    call,
    calling,
    command_ids,
    depths,
    ids,
    is_empty,
    outcome_of,
    outcomes_of,
    run_dry,
    settle,
    store,
    to_execute,
    to_store,
)
from tests.write_server.things import Count, a_command
from write_server.command_bus import CommandBus
from write_server.pace import Pace
from write_server.rules import LaneRule


def a_waiting_bus(capacity: int = 1, **rule: Any) -> CommandBus:
    return a_bus(capacity, full_policy=FullPolicy.WAIT, **rule)


async def test_a_call_is_held_until_there_is_room() -> None:
    bus = a_waiting_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as answers:
        assert depths(bus) == (1, 0, 1)
        settle(bus, await to_execute(bus))
        assert depths(bus) == (1, 0, 0)
        settle(bus, await to_execute(bus))
        await asyncio.gather(*answers)
    assert is_empty(bus)


async def test_those_who_wait_get_in_as_they_came() -> None:
    bus = a_waiting_bus()
    envelopes = [a_command() for _ in range(5)]
    async with calling(*(call(bus, envelope) for envelope in envelopes)):
        assert await run_dry(bus) == command_ids(envelopes)


async def test_nobody_passes_those_who_wait() -> None:
    bus = a_waiting_bus(3)
    first, big = ([a_command() for _ in range(2)] for _ in range(2))
    small = a_command()
    async with calling(
        outcomes_of(bus, first), outcomes_of(bus, big), call(bus, small)
    ):
        assert depths(bus) == (2, 0, 3)
        assert await run_dry(bus) == command_ids([*first, *big, small])


async def test_those_who_wait_are_bounded() -> None:
    bus = a_waiting_bus(holding_max=2)
    async with calling(*(call(bus, a_command()) for _ in range(3))):
        with pytest.raises(CommandQueueFull):
            await call(bus, a_command())
        assert depths(bus) == (1, 0, 2)
        assert bus.admission.refused[Lane.NORMAL] == 1
    assert is_empty(bus)


@pytest.mark.parametrize(
    ("holding_seconds", "wait_seconds"),
    [(SHORT_SECONDS, LONG_SECONDS), (LONG_SECONDS, SHORT_SECONDS)],
    ids=["the bound of the lane", "the caller's own"],
)
async def test_a_wait_for_room_ends(
    holding_seconds: float, wait_seconds: float
) -> None:
    bus = a_waiting_bus(holding_seconds=holding_seconds)
    async with calling(call(bus, a_command())):
        with pytest.raises(CommandQueueFull, match="has passed"):
            await call(bus, a_command(), wait_seconds)
        assert depths(bus) == (1, 0, 0)
        assert bus.admission.refused[Lane.NORMAL] == 1
        assert bus.admission.accepted[Lane.NORMAL] == 1


async def test_a_call_that_leaves_while_it_is_held_is_not_refused() -> None:
    bus = a_waiting_bus()
    async with calling(call(bus, a_command())):
        async with calling(call(bus, a_command())):
            assert depths(bus) == (1, 0, 1)
        assert depths(bus) == (1, 0, 0)
        assert bus.admission.refused[Lane.NORMAL] == 0
    assert is_empty(bus)


async def test_a_large_group_that_leaves_lets_the_others_in() -> None:
    bus = a_waiting_bus(3)
    group = [a_command() for _ in range(3)]
    async with calling(call(bus, a_command())):
        async with calling(outcomes_of(bus, group)):
            late = asyncio.create_task(call(bus, a_command()))
            await a_turn()
            assert depths(bus) == (1, 0, 4)
        await a_turn()
        assert depths(bus) == (2, 0, 0)
        late.cancel()


async def test_a_command_that_is_withdrawn_makes_room() -> None:
    bus = a_waiting_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as (first, _):
        first.cancel()
        await a_turn()
        assert depths(bus) == (1, 0, 0)


async def test_a_repeated_command_joins_one_that_is_held() -> None:
    bus = a_waiting_bus()
    envelope = a_command()
    async with calling(
        call(bus, a_command()), call(bus, envelope), call(bus, envelope)
    ) as (_, first, second):
        assert depths(bus) == (1, 0, 1)
        await run_dry(bus)
        receipts = await asyncio.gather(first, second)
    assert [receipt.deduplicated for receipt in receipts] == [False, True]


async def test_a_held_command_stays_for_the_call_that_joined_it() -> None:
    bus = a_waiting_bus()
    envelope = a_command()
    async with calling(
        call(bus, a_command()), call(bus, envelope), call(bus, envelope)
    ) as (_, first, second):
        first.cancel()
        await a_turn()
        assert depths(bus) == (1, 0, 1)
        assert (await run_dry(bus))[-1] == envelope.command_id
        assert (await second).deduplicated
    assert is_empty(bus)


async def test_a_held_command_goes_with_the_last_that_waits_for_it() -> None:
    bus = a_waiting_bus()
    envelope = a_command()
    async with calling(
        call(bus, a_command()), call(bus, envelope), call(bus, envelope, SHORT_SECONDS)
    ) as (_, first, second):
        first.cancel()
        with pytest.raises(CommandQueueFull):
            await second
        assert depths(bus) == (1, 0, 0)


async def test_a_call_that_joined_a_held_command_is_held_no_longer_than_it() -> None:
    bus = a_waiting_bus(holding_seconds=SHORT_SECONDS)
    envelope = a_command()
    async with calling(
        call(bus, a_command()), call(bus, envelope), call(bus, envelope)
    ) as (_, first, second):
        first.cancel()
        with pytest.raises(CommandQueueFull):
            async with asyncio.timeout(5):
                await second
        assert depths(bus) == (1, 0, 0)


async def test_a_held_call_gets_its_outcome_however_fast_the_writer_is() -> None:
    bus = a_waiting_bus()
    async with calling(call(bus, a_command()), call(bus, a_command())) as (_, held):
        settle(bus, await to_execute(bus))
        settle(
            bus, bus._next(10).to_execute
        )  # The call has not run since it was let in.
        assert not (await held).deduplicated
    assert is_empty(bus)


async def test_a_group_is_taken_in_all_or_none() -> None:
    bus = a_bus(3, rules={Lane.BULK: LaneRule(capacity=1)})
    async with calling(call(bus, a_command(lane=Lane.BULK))):
        with pytest.raises(CommandQueueFull) as raised:
            await outcomes_of(bus, [a_command(), a_command(lane=Lane.BULK)])
        assert raised.value.lane is Lane.BULK
        assert depths(bus) == (0, 0, 0)
        assert bus.admission.refused == {
            Lane.CRITICAL: 0,
            Lane.NORMAL: 1,
            Lane.BULK: 1,
        }
    assert is_empty(bus)


async def test_a_group_that_no_lane_ever_holds_is_malformed() -> None:
    bus = a_waiting_bus(2)
    with pytest.raises(InvalidFields) as raised:
        await outcomes_of(bus, [a_command() for _ in range(3)])
    assert [fault.field for fault in raised.value.violations] == ["commands"]
    assert is_empty(bus)


async def test_commands_of_one_id_are_one_command_of_a_group() -> None:
    bus = a_bus(1)
    envelope = a_command()
    other = a_command(Count(by=1), envelope.stream, command_id=envelope.command_id)
    async with calling(outcomes_of(bus, [envelope, envelope, other])) as (answers,):
        await run_dry(bus)
        first, second, error = await answers
    assert (first.deduplicated, second.deduplicated) == (False, True)
    assert error.reason == "COMMAND_ID_REUSED"
    assert is_empty(bus)


async def test_a_group_waits_for_what_it_joins_from_the_beginning() -> None:
    bus = a_waiting_bus(1)
    known, new = a_command(), a_command()
    async with calling(call(bus, known), outcomes_of(bus, [known, new])) as (
        owner,
        group,
    ):
        owner.cancel()
        await a_turn()
        assert await run_dry(bus) == command_ids([known, new])
        assert [receipt.record.command_id for receipt in await group] == command_ids(
            [known, new]
        )
    assert is_empty(bus)


async def test_a_group_of_several_lanes_holds_up_only_lanes_whose_calls_wait() -> None:
    waits = LaneRule(capacity=1, full_policy=FullPolicy.WAIT)
    bus = a_bus(5, rules={Lane.BULK: waits})
    stream = a_stream()
    group = [a_command(stream=stream), a_command(lane=Lane.BULK)]
    async with calling(
        call(bus, a_command(lane=Lane.BULK)), outcomes_of(bus, group)
    ) as (first, _):
        assert depths(bus) == (0, 0, 1)
        async with calling(call(bus, a_command())):
            assert depths(bus) == (1, 0, 1)
            with pytest.raises(CommandQueueFull):  # It would pass one of its stream.
                await call(bus, a_command(Count(by=1), stream))
            first.cancel()
            await a_turn()
            assert depths(bus) == (2, 0, 0)


async def test_room_in_one_lane_lets_in_who_stood_behind_in_another() -> None:
    bus = a_waiting_bus(2)
    async with calling(
        outcomes_of(bus, [a_command(lane=Lane.BULK) for _ in range(2)]),
        call(bus, a_command()),
        outcomes_of(bus, [a_command(lane=Lane.BULK), a_command()]),
        call(bus, a_command()),
    ):
        assert depths(bus) == (1, 0, 2)
        # The group takes the last slot of the normal lane, and who is behind it waits on.
        batch = await to_execute(bus)
        settle(bus, [entry for entry in batch if entry.lane is Lane.BULK])
        assert depths(bus) == (2, 0, 1)
        settle(bus, [entry for entry in batch if entry.lane is Lane.NORMAL])
        assert depths(bus) == (2, 0, 0)


async def test_who_stands_behind_a_group_gets_in_in_the_same_moment() -> None:
    bus = a_waiting_bus(3)
    async with calling(
        outcomes_of(bus, [a_command(lane=Lane.BULK) for _ in range(3)]),
        call(bus, a_command(lane=Lane.BULK)),
        outcomes_of(bus, [a_command(lane=Lane.BULK), a_command()]),
        call(bus, a_command()),
    ):
        assert depths(bus) == (0, 0, 2)
        settle(bus, await to_execute(bus))
        assert depths(bus) == (2, 0, 0)


async def test_the_time_in_the_queue_does_not_keep_a_held_group_from_its_room() -> None:
    pace = Pace(batch_commands_max=1)
    bus = a_bus(2, pace=pace, full_policy=FullPolicy.WAIT)
    async with calling(*(call(bus, a_command(), 5.0) for _ in range(3))):
        (first,) = await to_execute(bus, 1)
        pace.observe(commands=1, seconds=10.0)
        settle(bus, [first])
        assert depths(bus) == (2, 0, 0)


async def test_closing_turns_away_who_is_held_and_the_calls_that_joined() -> None:
    bus = a_waiting_bus()
    held = a_command()
    async with calling(
        call(bus, a_command()), call(bus, held), call(bus, held)
    ) as answers:
        bus.close()
        settle(bus, await to_execute(bus))
        assert not await bus.take(10)
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results[1:]] == [ShuttingDown] * 2
    assert is_empty(bus)


async def test_a_pause_stores_those_who_are_held_as_well() -> None:
    bus = a_waiting_bus()
    envelopes = [a_command() for _ in range(3)]
    async with calling(
        *(outcome_of(bus, e, wait_for=WaitFor.ACCEPTED) for e in envelopes)
    ) as answers:
        bus.pause()
        assert depths(bus) == (1, 3, 0)
        storing = await to_store(bus)
        assert ids(storing) == command_ids(envelopes)
        store(bus, storing)
        assert {r.record.stage.value for r in await asyncio.gather(*answers)} == {
            "accepted"
        }
        bus.resume()
        assert await run_dry(bus) == command_ids(envelopes)
    assert is_empty(bus)


async def test_calls_that_are_over_leave_no_timers() -> None:
    bus = a_waiting_bus(2)
    async with calling(*(call(bus, a_command()) for _ in range(4))) as (first, *_):
        settle(bus, await to_execute(bus, 1))
        await first
        await a_turn()
        assert len(_timers()) == 3
    assert is_empty(bus)
    assert not _timers()


def _timers() -> list[asyncio.TimerHandle]:
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [t for t in scheduled if not t.cancelled() and "CommandBus" in repr(t)]
