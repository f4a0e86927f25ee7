"""The client outlives its servers: whatever they are doing when they are killed."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orderes.client import Client
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    PlaceOrderRequest,
    RecordPaymentRequest,
)
from orderes.v1.order_pb2 import OrderLine
from tests.client.examples import EUROS, LINE
from tests.client.running import client_of
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.processes import children_of
from tests.support.write_process import stored_in
from tests.system.running import Up, running_up

KILLS = 3
TASKS = 8


@pytest.mark.timeout(240)
async def test_a_write_server_that_is_killed_again_and_again_does_each_command_once(
    tmp_path: Path,
) -> None:
    starting = running_up(tmp_path)
    up = await asyncio.to_thread(starting.__enter__)
    try:
        async with client_of(up) as client:
            done = await _work_while_it_is_killed(client, up)
        stored = await asyncio.to_thread(stored_in, up.data_dir)
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)

    stored.assert_sound()
    assert set(stored.commands) == set(done)
    assert {command.stage for command in stored.commands.values()} == {"committed"}
    positions = {id_: command.position for id_, command in stored.commands.items()}
    assert positions == done


async def _work_while_it_is_killed(client: Client, up: Up) -> dict[str, int]:
    """Positions of all commands as their callers know them, by id."""
    done: dict[str, int] = {}
    over = asyncio.Event()

    async def call() -> None:
        while not over.is_set():
            placed = await client.place_order(customer_id="c-1", lines=[LINE])
            order_id = placed.order.order_id
            done[placed.command.command_id] = placed.command.position
            paid = await client.record_payment(
                order_id=order_id, payment_id="p-1", amount=EUROS
            )
            done[paid.command.command_id] = paid.command.position
            read = await client.get_order(order_id=order_id)
            assert len(read.order.payments) == 1

    async def commands() -> AsyncIterator[
        PlaceOrderRequest | AddOrderLineRequest | RecordPaymentRequest
    ]:
        while not over.is_set():
            order_id = an_id()
            yield PlaceOrderRequest(order_id=order_id, customer_id="c-2", lines=[LINE])
            line = OrderLine(product_id="pen", quantity=1, unit_price=EUROS)
            yield AddOrderLineRequest(order_id=order_id, line=line)
            yield RecordPaymentRequest(
                order_id=order_id, payment_id="p-1", amount=EUROS
            )
            await asyncio.sleep(0)

    async def stream() -> None:
        async for answer in client.stream_commands(commands()):
            assert answer.error is None
            assert answer.command_id not in done
            done[answer.command_id] = answer.result.command.position

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(call())
        tasks.create_task(stream())
        tasks.create_task(_kill(up, done, over))
    return done


async def _kill(up: Up, done: dict[str, int], over: asyncio.Event) -> None:
    """Kills the write server whenever more was done, and waits until it is back for good."""
    server = await _write_server(up, other_than=0)
    for _ in range(KILLS):
        await _more(done, random.randint(50, 150))
        os.kill(server, signal.SIGKILL)
        # Answers that were on their way still count: more that is done does not say it is back.
        server = await _write_server(up, other_than=server)
    await _more(done, 100)
    over.set()


async def _write_server(up: Up, *, other_than: int) -> int:
    """Waits for a process that is not the one that was killed."""
    found: dict[str, int] = {}

    async def is_there() -> bool:
        found.update(await asyncio.to_thread(children_of, up.process.pid))
        return found.get("write_server", other_than) != other_than

    await eventually(is_there, seconds=60)
    return found["write_server"]


async def _more(done: dict[str, int], count: int) -> None:
    enough = len(done) + count
    await eventually(lambda: len(done) >= enough, seconds=60)
