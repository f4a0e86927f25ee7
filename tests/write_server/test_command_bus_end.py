"""The end of the command bus: it closes, its writer ends, or all its callers leave at once."""

import asyncio
import gc
import time
from collections.abc import Callable

import pytest

from eventcore.errors import ShuttingDown, StoreUnavailable
from eventcore.messages import CommandEnvelope, Lane
from tests.support.eventually import eventually
from tests.write_server.bus import (
    a_bus,
    a_turn,
    call,
    calling,
    is_empty,
    receipt_of,
    settle,
    to_execute,
)
from tests.write_server.things import a_command


async def test_a_closed_bus_admits_nothing_and_drains() -> None:
    bus = a_bus()
    envelope = a_command()
    async with calling(call(bus, envelope)) as (answer,):
        bus.close()
        with pytest.raises(ShuttingDown):
            await call(bus, a_command())
        async with calling(call(bus, envelope)) as (joined,):
            settle(bus, await to_execute(bus))
            assert [(await answer).deduplicated, (await joined).deduplicated] == [
                False,
                True,
            ]
    assert not await bus.take(10)


async def test_closing_wakes_a_writer_that_waits() -> None:
    bus = a_bus()
    taking = asyncio.create_task(bus.take(10))
    await a_turn()
    bus.close()
    assert not await taking


async def test_everyone_is_answered_when_the_writer_ends() -> None:
    bus = a_bus()
    envelopes = [a_command(lane=lane) for lane in Lane for _ in range(2)]
    calls = [call(bus, envelope) for envelope in [*envelopes, envelopes[0]]]
    async with calling(*calls) as answers:
        assert len(await to_execute(bus, 2)) == 2
        bus.fail_all(StoreUnavailable())
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 7
    assert is_empty(bus)
    assert not await bus.take(10)
    with pytest.raises(ShuttingDown):
        await call(bus, a_command())


async def _seconds_to_cancel(make: Callable[[], CommandEnvelope], count: int) -> float:
    bus = a_bus(count)
    async with calling(*(call(bus, make()) for _ in range(count))) as answers:
        await eventually(
            lambda: sum(len(e.calls) for e in bus._in_flight.values()) == count
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


async def test_what_the_writer_still_had_when_the_store_broke_changes_nothing() -> None:
    bus = a_bus()
    envelopes = [a_command(), a_command()]
    async with calling(call(bus, envelopes[0])) as (answer,):
        taken = await to_execute(bus)
        bus.pause()
        async with calling(call(bus, envelopes[1])):
            work = await bus.take(10)
            bus.fail_all(StoreUnavailable())
            settle(bus, taken)
            bus.stored(work.to_store, [receipt_of(entry) for entry in work.to_store])
        with pytest.raises(StoreUnavailable):
            await answer
    assert is_empty(bus)
