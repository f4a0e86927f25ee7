"""A client reads what it has written, and never an older answer than before."""

import asyncio
from typing import Any

import pytest

from orderes.client import Client, OrderNotFound, Position, StoreMismatch
from orderes.client.positions import STORES_MAX, SeenPositions
from orderes.v1.command_pb2 import COMMAND_STAGE_ACCEPTED, Command
from orderes.v1.command_service_pb2 import (
    CommandResult,
    DeliverOrderResponse,
    GetCommandResponse,
    SubmitCommandsResponse,
    WaitCommandResponse,
)
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryResponse,
    GetOrderResponse,
    ListOrderEventsResponse,
    ListOrdersResponse,
    ListProductSalesResponse,
    WatchMark,
)
from tests.client.examples import (
    MISMATCH,
    ORDER_ID,
    OTHER_STORE,
    STORE,
    Code,
    read_info,
    receipt,
    refused,
)
from tests.client.scripted import Script
from tests.support.eventually import eventually


def at(position: int, store_id: str = STORE) -> Position:
    return Position(position=position, store_id=store_id)


def demand(position: int, store_id: str = STORE) -> Consistency:
    return Consistency(min_position=position, store_id=store_id)


async def write(client: Client, script: Script, command: Command) -> None:
    script.on("DeliverOrder", DeliverOrderResponse(command=command))
    await client.deliver_order(order_id=ORDER_ID)


async def demanded(client: Client, script: Script, **reading: Any) -> Consistency:
    """What a query demands that is asked now."""
    if "GetOrder" not in script.answers:
        script.on("GetOrder", GetOrderResponse())
    await client.get_order(order_id=ORDER_ID, **reading)
    consistency: Consistency = script.requests("GetOrder")[-1].consistency
    return consistency


async def test_a_query_demands_what_was_written(client: Client, script: Script) -> None:
    assert await demanded(client, script) == Consistency()

    await write(client, script, receipt(7))
    assert await demanded(client, script) == demand(7)

    # A repeated command has the position of then.
    await write(client, script, receipt(5))
    assert await demanded(client, script) == demand(7)
    assert client.position == at(7)


@pytest.mark.parametrize(
    ("call", "method", "arguments", "response"),
    [
        (
            "get_customer_summary",
            "GetCustomerSummary",
            {"customer_id": "c-1"},
            GetCustomerSummaryResponse(read_info=read_info(9)),
        ),
        ("list_orders", "ListOrders", {}, ListOrdersResponse(read_info=read_info(9))),
        (
            "list_order_events",
            "ListOrderEvents",
            {"order_id": ORDER_ID},
            ListOrderEventsResponse(read_info=read_info(9)),
        ),
        (
            "list_product_sales",
            "ListProductSales",
            {},
            ListProductSalesResponse(read_info=read_info(9)),
        ),
    ],
)
async def test_every_query_demands_it_and_says_how_far_it_has_read(
    script: Script, call: str, method: str, arguments: Any, response: Any
) -> None:
    script.on(method, response)
    address = script.address
    async with Client(address, address, position=at(7)) as client:
        await getattr(client, call)(**arguments)

        (request,) = script.requests(method)
        assert request.consistency == demand(7)
        assert await demanded(client, script) == demand(9)


async def test_every_answer_to_a_command_counts(client: Client, script: Script) -> None:
    results = [CommandResult(command=receipt(n)) for n in (3, 4, 2)]
    script.on("SubmitCommands", SubmitCommandsResponse(results=results))
    script.on("GetCommand", GetCommandResponse(command=receipt(5)))
    script.on("WaitCommand", WaitCommandResponse(command=receipt(6)))

    await client.submit_commands([])
    assert client.position == at(4)
    await client.get_command(command_id="c-1")
    assert client.position == at(5)
    await client.wait_command(command_id="c-1")
    assert client.position == at(6)


async def test_a_command_that_is_not_executed_yet_does_not_count(
    client: Client, script: Script
) -> None:
    await write(client, script, receipt(0, stage=COMMAND_STAGE_ACCEPTED))

    assert client.position is None
    assert await demanded(client, script) == Consistency()


async def test_a_demand_of_the_caller_stands_for_that_of_the_client(
    client: Client, script: Script
) -> None:
    client.remember(at(7))

    own = await demanded(client, script, min_position=at(3, OTHER_STORE))
    fresh = await demanded(client, script, max_staleness_seconds=5)
    any_ = await demanded(client, script, catch_up=False)
    patient = await demanded(client, script, max_wait_seconds=3, allow_stale=True)

    assert own == demand(3, OTHER_STORE)
    expected = Consistency()
    expected.max_staleness.FromSeconds(5)
    assert fresh == expected
    assert any_ == Consistency()
    expected = demand(7)
    expected.max_wait.FromSeconds(3)
    expected.allow_stale = True
    assert patient == expected


async def test_two_demands_at_once_are_none(client: Client) -> None:
    with pytest.raises(ValueError, match="not both"):
        await client.get_order(
            order_id=ORDER_ID, min_position=at(3), max_staleness_seconds=5
        )


async def test_the_last_write_is_handed_from_one_service_to_another(
    client: Client, script: Script
) -> None:
    await write(client, script, receipt(7))
    header = str(client.position)

    address = script.address
    async with Client(address, address, position=Position.parse(header)) as other:
        assert await demanded(other, script) == demand(7)
        other.remember(at(9))
        other.remember(at(8))
        assert await demanded(other, script) == demand(9)


async def test_a_position_without_its_store_is_not_remembered() -> None:
    with pytest.raises(ValueError, match="must have its store_id"):
        Client(position=Position(position=7))


@pytest.mark.parametrize("text", ["", "7", "@store", "-1@store", "x@store"])
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position"):
        Position.parse(text)


def test_a_position_is_that_of_a_receipt_an_answer_or_a_mark() -> None:
    assert Position.of(receipt(3)) == at(3)
    assert Position.of(read_info(4)) == at(4)
    assert Position.of(WatchMark(position=5, store_id=STORE)) == at(5)
    assert Position.parse(str(at(3))) == at(3)


async def test_a_store_that_was_replaced_is_asked_again_without_the_old_position(
    client: Client, script: Script
) -> None:
    client.remember(at(7))
    answer = GetOrderResponse(read_info=read_info(2, store_id=OTHER_STORE))
    script.on("GetOrder", MISMATCH, answer)

    assert await client.get_order(order_id=ORDER_ID) == answer

    first, second = script.requests("GetOrder")
    assert (first.consistency, second.consistency) == (demand(7), Consistency())
    assert client.position == at(2, OTHER_STORE)


async def test_a_store_that_was_replaced_is_asked_again_once(
    client: Client, script: Script
) -> None:
    client.remember(at(7))
    script.on("GetOrder", MISMATCH)

    with pytest.raises(StoreMismatch):
        await client.get_order(order_id=ORDER_ID)

    assert len(script.calls["GetOrder"]) == 2


@pytest.mark.parametrize(
    "reading", [{"min_position": at(7)}, {"catch_up": False}], ids=str
)
async def test_a_position_of_the_callers_own_is_the_callers_to_drop(
    client: Client, script: Script, reading: Any
) -> None:
    client.remember(at(8))
    script.on("GetOrder", MISMATCH)

    with pytest.raises(StoreMismatch):
        await client.get_order(order_id=ORDER_ID, **reading)

    assert len(script.calls["GetOrder"]) == 1
    assert client.position == at(8)


async def test_a_write_into_the_new_store_is_read_also_beside_a_query_of_the_old(
    client: Client, script: Script
) -> None:
    """A query of the old store is on its way while the new one gives its first receipt."""
    client.remember(at(7))
    go_on = asyncio.Event()
    answered = GetOrderResponse(read_info=read_info(3, store_id=OTHER_STORE))

    async def held(request: Any, context: Any) -> Any:
        await go_on.wait()
        return MISMATCH

    script.on("GetOrder", held, answered)
    reading = asyncio.create_task(client.get_order(order_id=ORDER_ID))
    await eventually(lambda: len(script.calls["GetOrder"]) == 1)
    await write(client, script, receipt(3, store_id=OTHER_STORE))
    go_on.set()
    await reading

    assert script.requests("GetOrder")[1].consistency == demand(3, OTHER_STORE)
    assert client.position == at(3, OTHER_STORE)


async def test_a_late_answer_of_the_old_store_does_not_bring_it_back(
    client: Client, script: Script
) -> None:
    client.remember(at(7))
    await write(client, script, receipt(1, store_id=OTHER_STORE))
    script.on("GetOrder", GetOrderResponse(read_info=read_info(8)))
    await client.get_order(order_id=ORDER_ID)

    assert await demanded(client, script) == demand(1, OTHER_STORE)


async def test_concurrent_calls_each_demand_what_was_written_before_them(
    client: Client, script: Script
) -> None:
    numbers = iter(range(1, 101))

    async def delivered(request: Any, context: Any) -> Any:
        return DeliverOrderResponse(command=receipt(next(numbers)))

    script.on("DeliverOrder", delivered)
    script.on("GetOrder", GetOrderResponse())

    async def write_and_read() -> None:
        written = await client.deliver_order(order_id=ORDER_ID)
        await client.get_order(order_id=str(written.command.position))

    await asyncio.gather(*(write_and_read() for _ in range(100)))

    requests = script.requests("GetOrder")
    assert len(requests) == 100
    assert all(r.consistency.min_position >= int(r.order_id) for r in requests)
    assert client.position == at(100)


async def test_an_order_that_is_not_found_was_looked_for_where_it_was_written(
    client: Client, script: Script
) -> None:
    client.remember(at(7))
    script.on("GetOrder", refused(Code.NOT_FOUND, "ORDER_NOT_FOUND"))

    with pytest.raises(OrderNotFound):
        await client.get_order(order_id=ORDER_ID)

    (request,) = script.requests("GetOrder")
    assert request.consistency == demand(7)


def test_no_more_stores_are_remembered_than_there_may_be() -> None:
    seen = SeenPositions()
    for number in range(2 * STORES_MAX):
        seen.note(at(5, f"store-{number}"))

    assert len(seen._positions) == STORES_MAX
    assert seen.newest == at(5, f"store-{2 * STORES_MAX - 1}")
