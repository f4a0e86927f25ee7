"""The write server as a process with more calls than it has room for."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.processes import StartedProcess, free_address
from tests.support.rpc import Failure, channel_to, failure_from
from tests.support.write_process import Stored, start_write_server, stored_in

FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
CONNECTIONS = 4

CALLS_IN_FLIGHT = 4000
"""Enough to see what one takes; it is the same for each of many more."""

CALLS_PROMISED = 10_000
RESIDENT_BYTES_MAX = 300 * 2**20
"""With those calls in flight: an idle server takes about 90 MB, a pending call about 16 KB."""

Outcome = Failure | None
"""How a call ended; None is OK."""


async def place(stub: Any, command_id: str) -> Outcome:
    request = FORMS["PlaceOrder"].request(command_id=command_id, order_id=an_id())
    try:
        await stub.PlaceOrder(request, timeout=60)
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        return failure_from(error.code(), error.details() or "", trailers)
    return None


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[list[Any]]:
    """Clients of as many connections as a few busy machines would have."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(channel_to(address))
            for _ in range(CONNECTIONS)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield [CommandServiceStub(channel) for channel in channels]


def all_at_once(process: StartedProcess, count: int) -> dict[str, Outcome]:
    """Sends so many commands while the server stands still, so that it meets all at once."""
    address = process.listening()["address"]
    return asyncio.run(_all_at_once(address, process.pid, count))


async def _all_at_once(address: str, pid: int, count: int) -> dict[str, Outcome]:
    ids = [an_id() for _ in range(count)]
    async with connected(address) as stubs:
        os.kill(pid, signal.SIGSTOP)
        calls = [
            asyncio.create_task(place(stubs[number % CONNECTIONS], command_id))
            for number, command_id in enumerate(ids)
        ]
        for _ in range(10):  # Lets every call get onto the wire.
            await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        return dict(zip(ids, await asyncio.gather(*calls), strict=True))


async def place_one(address: str, command_id: str) -> Outcome:
    async with connected(address) as stubs:
        return await place(stubs[0], command_id)


def assert_ok_or_full(outcomes: dict[str, Outcome], stored: Stored) -> Counter[Any]:
    """Nothing but OK and COMMAND_QUEUE_FULL, and the tables hold those that were OK."""
    for failure in outcomes.values():
        if failure is None:
            continue
        assert failure.code is FULL, failure
        assert failure.reason == "COMMAND_QUEUE_FULL"
        assert set(failure.details) == {"ErrorInfo", "RetryInfo"}
        assert int(failure.trailers["grpc-retry-pushback-ms"]) > 0
    placed = {id_ for id_, failure in outcomes.items() if failure is None}
    assert not stored.holds_any_of(set(outcomes) - placed)
    assert placed == set(stored.commands)
    return Counter(failure is None for failure in outcomes.values())


def test_a_small_queue_refuses_what_it_has_no_room_for_and_nothing_else(
    tmp_path: Path,
) -> None:
    with start_write_server(tmp_path, "--queue-capacity", "5") as process:
        outcomes = all_at_once(process, 800)
        stored = stored_in(tmp_path)
        stored.assert_sound()
        counts = assert_ok_or_full(outcomes, stored)
        assert counts[False] > 0
        assert counts[True] >= 5
        refused = {id_: failure for id_, failure in outcomes.items() if failure}
        for failure in refused.values():
            assert failure.metadata["capacity"] == "5"
            assert failure.metadata["lane"] == "normal"
        # What was refused is taken in as soon as there is room.
        again = next(iter(refused))
        assert asyncio.run(place_one(process.listening()["address"], again)) is None
        assert stored_in(tmp_path).holds_any_of([again])
        assert process.stop() == 0


def resident_bytes_most(pid: int) -> int:
    """The most memory that the process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_ten_thousand_calls_in_flight_would_take_bounded_memory(tmp_path: Path) -> None:
    with start_write_server(tmp_path) as process:
        process.listening()
        idle = resident_bytes_most(process.pid)
        outcomes = all_at_once(process, CALLS_IN_FLIGHT)
        taken = (resident_bytes_most(process.pid) - idle) / CALLS_IN_FLIGHT
        most = idle + CALLS_PROMISED * taken
        assert most < RESIDENT_BYTES_MAX, f"{most / 2**20:.0f} MB"
        counts = assert_ok_or_full(outcomes, stored_in(tmp_path))
        assert counts[True] >= 1000
        assert process.stop() == 0


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with start_write_server(tmp_path) as first:
        first.listening()
        with start_write_server(tmp_path) as second:
            assert second.wait() == 78
            assert "write.db is in use by another process" in second.errors
            assert "--data-dir" in second.errors
            assert "Traceback" not in second.errors
        assert first.stop() == 0


@pytest.mark.parametrize("flag", ["--write-address", "--write-metrics-address"])
def test_a_second_server_on_the_same_port_is_refused(tmp_path: Path, flag: str) -> None:
    address = free_address()
    with start_write_server(tmp_path / "first", flag, address) as first:
        first.listening()
        with start_write_server(tmp_path / "second", flag, address) as second:
            assert second.wait() == 78
            assert address in second.errors
            assert "Traceback" not in second.errors
        assert first.stop() == 0
