"""The client against real servers: it reads its own writes, and outlives their deaths."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orderes.client import (
    Client,
    InvalidFields,
    OrderNotFound,
    Outcome,
    RuleViolated,
    VersionMismatch,
    error_of,
)
from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_pb2 import COMMAND_STAGE_COMMITTED, COMMAND_STAGE_VALIDATED
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    PlaceOrderRequest,
    RecordPaymentRequest,
)
from orderes.v1.order_pb2 import ORDER_STATE_PAID, OrderLine
from tests.client.examples import EUROS, LINE
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.processes import children_of
from tests.support.write_process import stored_in
from tests.system.running import Up, running_up

KILLS = 3
TASKS = 8


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture
async def client(up: Up) -> AsyncIterator[Client]:
    async with client_of(up) as client:
        yield client


def client_of(up: Up) -> Client:
    return Client(
        up.addresses["write-address"],
        up.addresses["read-address"],
        # A machine under load restarts a process slowly.
        timeout_seconds=60,
        correlation_id="flow-1",
    )


async def test_each_write_is_in_the_next_answer(client: Client) -> None:
    async def life(number: int) -> None:
        customer_id = f"customer-{number}-{an_id()}"
        placed = await client.place_order(customer_id=customer_id, lines=[LINE])
        order_id = placed.order.order_id
        listed = await client.list_orders(customer_id=customer_id)
        assert [order.order_id for order in listed.orders] == [order_id]
        total = Money(currency_code="EUR", minor_units=2 * EUROS.minor_units)
        await client.record_payment(order_id=order_id, payment_id="p-1", amount=total)
        read = await client.get_order(order_id=order_id)
        assert read.order.state == ORDER_STATE_PAID
        events = [e.type async for e in client.all_order_events(order_id=order_id)]
        assert events == ["OrderPlaced", "PaymentReceived", "OrderPaid"]

    await asyncio.gather(*(life(number) for number in range(20)))


async def test_another_client_reads_what_it_is_handed_the_position_of(
    client: Client, up: Up
) -> None:
    placed = await client.place_order(customer_id="c-1", lines=[LINE])

    async with client_of(up) as other:
        position = client.position
        assert position is not None
        read = await other.get_order(
            order_id=placed.order.order_id, min_position=position
        )

    assert read.order == placed.order


async def test_a_list_is_read_through_while_it_grows(client: Client) -> None:
    customer_id = f"customer-{an_id()}"
    commands = [PlaceOrderRequest(customer_id=customer_id, lines=[LINE])] * 25
    await client.submit_commands(commands)

    seen = set()
    async for order in client.all_orders(customer_id=customer_id, page_size=10):
        seen.add(order.order_id)
        await client.place_order(customer_id="another", lines=[LINE])

    assert len(seen) == 25


async def test_refusals_are_typed(client: Client) -> None:
    placed = await client.place_order(customer_id="c-1", lines=[LINE])
    order_id = placed.order.order_id

    with pytest.raises(InvalidFields) as invalid:
        await client.place_order(customer_id="", lines=[])
    with pytest.raises(VersionMismatch) as mismatch:
        await client.cancel_order(order_id=order_id, reason="no", expected_version=9)
    with pytest.raises(RuleViolated) as violated:
        await client.ship_order(
            order_id=order_id, carrier="post", tracking_number="t-1", command_id=an_id()
        )
    with pytest.raises(OrderNotFound):
        await client.get_order(order_id=an_id())

    fields = {violation.field for violation in invalid.value.violations}
    assert fields == {"customer_id", "lines"}
    assert mismatch.value.expected_version == 9
    assert mismatch.value.actual_version == 1
    assert violated.value.rule == "INVALID_ORDER_STATE"
    assert violated.value.outcome is Outcome.REFUSED
    assert violated.value.correlation_id == "flow-1"
    # It is stored: whoever asks for the command gets the same.
    record = await client.get_command(command_id=violated.value.command_id)
    stored = error_of(record.command)
    assert isinstance(stored, RuleViolated)
    assert (stored.rule, stored.message) == (
        violated.value.rule,
        violated.value.message,
    )


async def test_what_is_only_validated_is_not_stored(client: Client) -> None:
    command_id = an_id()

    said = await client.place_order(
        customer_id="c-1", lines=[LINE], validate_only=True, command_id=command_id
    )
    done = await client.place_order(
        customer_id="c-1", lines=[LINE], command_id=command_id
    )

    assert said.command.stage == COMMAND_STAGE_VALIDATED
    assert done.command.stage == COMMAND_STAGE_COMMITTED
    assert not done.command.deduplicated


async def test_what_is_wrong_with_a_command_of_a_stream_is_its_answer(
    client: Client,
) -> None:
    wrong = PlaceOrderRequest(customer_id="", lines=[LINE])
    right = PlaceOrderRequest(customer_id="c-1", lines=[LINE])

    answers = {
        answer.command.place_order.customer_id: answer
        async for answer in client.stream_commands([wrong, right])
    }

    error = answers[""].error
    assert isinstance(error, InvalidFields)
    assert [violation.field for violation in error.violations] == [
        "command.customer_id"
    ]
    assert error.command_id == answers[""].command_id
    assert answers["c-1"].error is None


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
    for _ in range(KILLS):
        await _more(done, random.randint(50, 150))
        children = await asyncio.to_thread(children_of, up.process.pid)
        os.kill(children["write_server"], signal.SIGKILL)
    await _more(done, 100)
    over.set()


async def _more(done: dict[str, int], count: int) -> None:
    enough = len(done) + count
    await eventually(lambda: len(done) >= enough, seconds=60)
