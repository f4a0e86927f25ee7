"""How long calls are held back before the port is closed. Only lower bounds: it may take longer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import pytest

from eventcore.errors import ShuttingDown
from eventcore.rpc.in_flight import InFlight, Quiet

DEADLINE_SECONDS = 30.0
LONG = 1_000_000
ROUND_SECONDS = 0.01
STALL_SECONDS = 0.1


def a_quiet(
    *, rounds: int = 1, rounds_max: int = LONG, seconds_max: float = LONG
) -> Quiet:
    return Quiet(
        round_seconds=ROUND_SECONDS,
        rounds=rounds,
        rounds_max=rounds_max,
        seconds_max=seconds_max,
    )


async def refused(in_flight: InFlight) -> None:
    with pytest.raises(ShuttingDown):
        await in_flight.refuse()


@asynccontextmanager
async def calls_that_never_stop(in_flight: InFlight) -> AsyncIterator[None]:
    calls: list[asyncio.Task[None]] = []

    async def come() -> None:
        while True:
            calls.append(asyncio.create_task(refused(in_flight)))
            await asyncio.sleep(ROUND_SECONDS / 10)

    coming = asyncio.create_task(come())
    yield
    coming.cancel()
    in_flight.release()
    await asyncio.gather(*calls)


async def held_seconds(in_flight: InFlight, quiet: Quiet) -> float:
    began = perf_counter()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await in_flight.hold(quiet)
    return perf_counter() - began


async def test_calls_that_were_refused_ask_for_several_quiet_rounds() -> None:
    in_flight = InFlight()
    await refused(in_flight)
    assert await held_seconds(in_flight, a_quiet(rounds=10)) >= 9 * ROUND_SECONDS


@pytest.mark.parametrize(
    "quiet", [a_quiet(rounds_max=3), a_quiet(seconds_max=3 * ROUND_SECONDS)]
)
async def test_clients_that_never_wait_do_not_hold_up_the_stop(quiet: Quiet) -> None:
    in_flight = InFlight()
    async with calls_that_never_stop(in_flight):
        assert await held_seconds(in_flight, quiet) >= 2 * ROUND_SECONDS


async def test_after_a_stall_it_must_be_quiet_for_as_long_again() -> None:
    in_flight = InFlight()

    def stall() -> None:
        until = perf_counter() + STALL_SECONDS
        while perf_counter() < until:
            pass

    asyncio.get_running_loop().call_soon(stall)
    assert await held_seconds(in_flight, a_quiet()) >= 1.8 * STALL_SECONDS


async def test_a_call_that_is_held_is_refused_on_release() -> None:
    in_flight = InFlight()
    async with calls_that_never_stop(in_flight):
        await in_flight.hold(a_quiet(rounds_max=1))
        call = asyncio.create_task(refused(in_flight))
        await asyncio.sleep(0)
        assert not call.done()
        in_flight.release()
        await call
