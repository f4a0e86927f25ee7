"""The client against real servers: it reads its own writes, and tells what was refused."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from textwrap import dedent

import pytest

import orderes.client
from orderes.client import (
    READ_ADDRESS,
    WRITE_ADDRESS,
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
from orderes.v1.command_service_pb2 import PlaceOrderRequest
from orderes.v1.order_pb2 import ORDER_STATE_PAID
from tests.client.examples import EUROS, LINE
from tests.client.running import client_of
from tests.support.envelopes import an_id
from tests.system.running import Up, running_up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture
async def client(up: Up) -> AsyncIterator[Client]:
    async with client_of(up) as client:
        yield client


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


def test_the_program_in_the_documentation_works(up: Up) -> None:
    documented = str(orderes.client.__doc__)
    program = dedent(documented[documented.index("    import asyncio") :])
    for documented_address, name in (
        (WRITE_ADDRESS, "write-address"),
        (READ_ADDRESS, "read-address"),
    ):
        assert documented_address in program
        program = program.replace(documented_address, up.addresses[name])

    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ran.stderr == ""
    told = re.sub(r"(at|after) [0-9]+(@.+)?$", r"\1 N", ran.stdout, flags=re.MULTILINE)
    lines = told.splitlines()
    placed = [line for line in lines if line.startswith("placed ")]
    assert placed
    assert [line for line in lines if line not in placed] == [
        "due 0",
        "paid at first 0",
        "refused INVALID_ORDER_STATE",
        "is at version 3",
        "OrderPlaced at N",
        "PaymentReceived at N",
        "OrderPaid at N",
        "go on after N",
    ]
