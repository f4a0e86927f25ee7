"""What a call sends, and how long it may take."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from orderes.client import Client, ClientClosed, DeadlineExceeded, Outcome
from orderes.v1.command_pb2 import (
    LANE_BULK,
    WAIT_FOR_ACCEPTED,
    WAIT_FOR_COMMITTED,
    CommandOptions,
)
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    AddOrderLineResponse,
    CancelOrderRequest,
    CancelOrderResponse,
    ChangeOrderLineQuantityRequest,
    ChangeOrderLineQuantityResponse,
    CommandEnvelope,
    CommandResult,
    DeliverOrderRequest,
    DeliverOrderResponse,
    GetCommandRequest,
    GetCommandResponse,
    PlaceOrderRequest,
    PlaceOrderResponse,
    RecordPaymentRequest,
    RecordPaymentResponse,
    RefundPaymentRequest,
    RefundPaymentResponse,
    RemoveOrderLineRequest,
    RemoveOrderLineResponse,
    ShipOrderRequest,
    ShipOrderResponse,
    SubmitCommandsResponse,
    WaitCommandResponse,
)
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.order_pb2 import (
    CANCEL_REASON_FRAUD,
    CANCEL_REASON_OTHER,
    ORDER_STATE_PAID,
    ORDER_STATE_PLACED,
)
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetCustomerSummaryResponse,
    GetOrderRequest,
    GetOrderResponse,
    ListOrderEventsRequest,
    ListOrderEventsResponse,
    ListOrdersRequest,
    ListOrdersResponse,
    ListProductSalesRequest,
    ListProductSalesResponse,
)
from tests.cli.scripted import WIRE_ROUNDING_SECONDS
from tests.client.examples import EUROS, LINE, ORDER_ID, STORE, receipt
from tests.client.scripted import Script
from tests.support.eventually import eventually

ORDER: dict[str, Any] = {"order_id": ORDER_ID}
PAID: dict[str, Any] = {"payment_id": "p-1", "amount": EUROS}
COMMITTED = CommandOptions(wait_for=WAIT_FOR_COMMITTED)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a method, and what it is on the wire."""

    call: str
    method: str
    arguments: dict[str, Any]
    request: Any
    response: Any


COMMANDS = [
    Example(
        "place_order",
        "PlaceOrder",
        {"customer_id": "c-1", "lines": [LINE]},
        PlaceOrderRequest(customer_id="c-1", lines=[LINE]),
        PlaceOrderResponse,
    ),
    Example(
        "add_order_line",
        "AddOrderLine",
        {**ORDER, "line": LINE},
        AddOrderLineRequest(line=LINE, **ORDER),
        AddOrderLineResponse,
    ),
    Example(
        "remove_order_line",
        "RemoveOrderLine",
        {**ORDER, "product_id": "book"},
        RemoveOrderLineRequest(product_id="book", **ORDER),
        RemoveOrderLineResponse,
    ),
    Example(
        "change_order_line_quantity",
        "ChangeOrderLineQuantity",
        {**ORDER, "product_id": "book", "quantity": 3},
        ChangeOrderLineQuantityRequest(product_id="book", quantity=3, **ORDER),
        ChangeOrderLineQuantityResponse,
    ),
    Example(
        "record_payment",
        "RecordPayment",
        {**ORDER, **PAID},
        RecordPaymentRequest(payment_id="p-1", amount=EUROS, **ORDER),
        RecordPaymentResponse,
    ),
    Example(
        "ship_order",
        "ShipOrder",
        {**ORDER, "carrier": "post", "tracking_number": "t-1"},
        ShipOrderRequest(carrier="post", tracking_number="t-1", **ORDER),
        ShipOrderResponse,
    ),
    Example(
        "deliver_order",
        "DeliverOrder",
        ORDER,
        DeliverOrderRequest(**ORDER),
        DeliverOrderResponse,
    ),
    Example(
        "cancel_order",
        "CancelOrder",
        {**ORDER, "reason": "no"},
        CancelOrderRequest(reason="no", reason_code=CANCEL_REASON_OTHER, **ORDER),
        CancelOrderResponse,
    ),
    Example(
        "refund_payment",
        "RefundPayment",
        {**ORDER, **PAID, "refund_id": "r-1"},
        RefundPaymentRequest(payment_id="p-1", refund_id="r-1", amount=EUROS, **ORDER),
        RefundPaymentResponse,
    ),
]


@pytest.mark.parametrize("example", COMMANDS, ids=lambda example: example.call)
async def test_a_command_is_sent_as_it_is_called(
    client: Client, script: Script, example: Example
) -> None:
    answer = example.response(command=receipt(7))
    script.on(example.method, answer)

    given = await getattr(client, example.call)(**example.arguments, command_id="c-1")

    assert given == answer
    (request,) = script.requests(example.method)
    assert (request.command_id, request.options) == ("c-1", COMMITTED)
    request.ClearField("command_id")
    request.ClearField("options")
    assert request == example.request


async def test_what_is_said_of_its_delivery_goes_with_a_command(
    client: Client, script: Script
) -> None:
    script.on("CancelOrder", CancelOrderResponse())

    await client.cancel_order(
        order_id=ORDER_ID,
        reason="fraud",
        reason_code=CANCEL_REASON_FRAUD,
        expected_version=0,
        wait_for=WAIT_FOR_ACCEPTED,
        lane=LANE_BULK,
        max_wait_seconds=1.5,
        validate_only=True,
    )

    (request,) = script.requests("CancelOrder")
    options = CommandOptions(
        wait_for=WAIT_FOR_ACCEPTED, lane=LANE_BULK, validate_only=True
    )
    options.max_wait.FromMilliseconds(1500)
    assert request.options == options
    assert request.HasField("expected_version")
    assert request.reason_code == CANCEL_REASON_FRAUD


async def test_a_command_without_an_id_gets_one_of_its_own(
    client: Client, script: Script
) -> None:
    script.on("DeliverOrder", DeliverOrderResponse())

    await client.deliver_order(order_id=ORDER_ID)
    await client.deliver_order(order_id=ORDER_ID, command_id="")

    ids = [request.command_id for request in script.requests("DeliverOrder")]
    assert len(set(ids)) == 2
    assert [UUID(id_).version for id_ in ids] == [7, 7]


async def test_a_batch_is_sent_with_an_id_for_each_command(
    client: Client, script: Script
) -> None:
    answer = SubmitCommandsResponse(results=[CommandResult(command=receipt(3))])
    script.on("SubmitCommands", answer)
    place = PlaceOrderRequest(customer_id="c-1", lines=[LINE])
    deliver = DeliverOrderRequest(order_id=ORDER_ID, command_id="c-2")
    enveloped = CommandEnvelope(deliver_order=deliver, correlation_id="flow-2")

    given = await client.submit_commands([place, enveloped], lane=LANE_BULK)

    assert given == answer
    (request,) = script.requests("SubmitCommands")
    first, second = request.commands
    assert second == enveloped
    assert first.place_order.command_id[14] == "7"
    assert first.place_order.lines == [LINE]
    assert request.options == CommandOptions(
        wait_for=WAIT_FOR_COMMITTED, lane=LANE_BULK
    )
    assert not place.command_id  # What is the caller's stays as it is.


async def test_an_empty_envelope_is_not_sent(client: Client) -> None:
    with pytest.raises(ValueError, match="no command"):
        await client.submit_commands([CommandEnvelope()])


async def test_a_command_is_looked_up_and_waited_for(
    client: Client, script: Script
) -> None:
    script.on("GetCommand", GetCommandResponse(command=receipt(3)))
    script.on("WaitCommand", WaitCommandResponse(command=receipt(4)))

    found = await client.get_command(command_id="c-1")
    waited = await client.wait_command(command_id="c-1", max_wait_seconds=20)

    assert (found.command.position, waited.command.position) == (3, 4)
    assert script.requests("GetCommand") == [GetCommandRequest(command_id="c-1")]
    (request,) = script.requests("WaitCommand")
    assert (request.command_id, request.max_wait.seconds) == ("c-1", 20)
    (came,) = script.calls["WaitCommand"]
    assert 20 < came.seconds_left <= 25 + WIRE_ROUNDING_SECONDS


def noon_request() -> GetOrderRequest:
    request = GetOrderRequest(order_id=ORDER_ID)
    request.time.FromDatetime(NOON)
    return request


def orders_request() -> ListOrdersRequest:
    request = ListOrdersRequest(
        page_size=7,
        page_token="page-2",
        customer_id="c-1",
        states=[ORDER_STATE_PLACED, ORDER_STATE_PAID],
        product_id="book",
        order_by="update_time",
    )
    request.placed_since.FromDatetime(NOON)
    request.placed_before.FromDatetime(NOON + timedelta(hours=1))
    return request


QUERIES = [
    Example(
        "get_order",
        "GetOrder",
        ORDER,
        GetOrderRequest(order_id=ORDER_ID),
        GetOrderResponse(),
    ),
    Example(
        "get_order",
        "GetOrder",
        {**ORDER, "as_of": 3},
        GetOrderRequest(order_id=ORDER_ID, version=3),
        GetOrderResponse(),
    ),
    Example(
        "get_order",
        "GetOrder",
        {**ORDER, "as_of": NOON.astimezone(timezone(timedelta(hours=2)))},
        noon_request(),
        GetOrderResponse(),
    ),
    Example(
        "get_customer_summary",
        "GetCustomerSummary",
        {"customer_id": "c-1"},
        GetCustomerSummaryRequest(customer_id="c-1"),
        GetCustomerSummaryResponse(),
    ),
    Example(
        "list_orders",
        "ListOrders",
        {
            "page_size": 7,
            "page_token": "page-2",
            "customer_id": "c-1",
            "states": [ORDER_STATE_PLACED, ORDER_STATE_PAID],
            "product_id": "book",
            "placed_since": NOON,
            "placed_before": NOON + timedelta(hours=1),
            "order_by": "update_time",
        },
        orders_request(),
        ListOrdersResponse(),
    ),
    Example(
        "list_order_events",
        "ListOrderEvents",
        {**ORDER, "page_size": 7, "page_token": "page-2"},
        ListOrderEventsRequest(page_size=7, page_token="page-2", **ORDER),
        ListOrderEventsResponse(),
    ),
    Example(
        "list_product_sales",
        "ListProductSales",
        {
            "page_size": 7,
            "page_token": "page-2",
            "product_id": "book",
            "since_day": "2026-01-31",
            "until_day": "2026-02-01",
        },
        ListProductSalesRequest(
            page_size=7,
            page_token="page-2",
            product_id="book",
            since_day="2026-01-31",
            until_day="2026-02-01",
        ),
        ListProductSalesResponse(),
    ),
]


@pytest.mark.parametrize("example", QUERIES, ids=lambda example: example.call)
async def test_a_query_is_sent_as_it_is_called(
    client: Client, script: Script, example: Example
) -> None:
    script.on(example.method, example.response)

    given = await getattr(client, example.call)(**example.arguments)

    assert given == example.response
    (request,) = script.requests(example.method)
    assert request.consistency == Consistency()
    request.ClearField("consistency")
    assert request == example.request


async def test_a_time_without_a_zone_is_not_sent(client: Client) -> None:
    naive = NOON.replace(tzinfo=None)

    with pytest.raises(ValueError, match="as_of must have a time zone"):
        await client.get_order(order_id=ORDER_ID, as_of=naive)
    with pytest.raises(ValueError, match="placed_since must have a time zone"):
        await client.list_orders(placed_since=naive)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
async def test_a_duration_that_is_no_number_is_not_sent(
    client: Client, seconds: float
) -> None:
    with pytest.raises(ValueError, match="max_wait_seconds must be a finite number"):
        await client.get_order(order_id=ORDER_ID, max_wait_seconds=seconds)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_timeout_is_above_zero_and_has_an_end(
    client: Client, seconds: float
) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be above 0"):
        await client.get_order(order_id=ORDER_ID, timeout_seconds=seconds)
    with pytest.raises(ValueError, match="timeout_seconds must be above 0"):
        Client(timeout_seconds=seconds)


async def test_a_client_has_a_timeout_of_its_own(script: Script) -> None:
    script.on("GetOrder", GetOrderResponse())
    script.on("GetCommand", GetCommandResponse())

    async with Client(script.address, script.address, timeout_seconds=3) as client:
        await client.get_order(order_id=ORDER_ID)
        await client.get_command(command_id="c-1")

    for method in ("GetOrder", "GetCommand"):
        (came,) = script.calls[method]
        assert 1 < came.seconds_left <= 3 + WIRE_ROUNDING_SECONDS


async def test_none_is_what_is_not_given(client: Client, script: Script) -> None:
    script.on("GetOrder", GetOrderResponse())
    script.on("DeliverOrder", DeliverOrderResponse(command=receipt(7)))

    await client.deliver_order(
        order_id=ORDER_ID,
        command_id=None,
        expected_version=None,
        lane=None,
        max_wait_seconds=None,
        timeout_seconds=None,
    )
    await client.get_order(
        order_id=ORDER_ID,
        min_position=None,
        max_staleness_seconds=None,
        max_wait_seconds=None,
        timeout_seconds=None,
    )

    (command,) = script.requests("DeliverOrder")
    assert command.command_id
    assert not command.HasField("expected_version")
    assert command.options == COMMITTED
    (query,) = script.requests("GetOrder")
    assert query.consistency == Consistency(min_position=7, store_id=STORE)


async def test_a_keyword_that_is_none_is_told(client: Client) -> None:
    unchecked: Any = client

    with pytest.raises(TypeError, match="unexpected keyword arguments: comand_id"):
        await unchecked.deliver_order(order_id=ORDER_ID, comand_id="c-1")
    with pytest.raises(TypeError, match="unexpected keyword arguments: fresh"):
        await unchecked.get_order(order_id=ORDER_ID, fresh=False)
    with pytest.raises(TypeError, match="unexpected keyword arguments: state"):
        await unchecked.list_orders(state=[])
    with pytest.raises(TypeError, match="unexpected keyword arguments: tls"):
        Client(tls=True)  # type: ignore[call-arg]


async def test_a_call_carries_where_it_comes_from(script: Script) -> None:
    script.on("GetOrder", GetOrderResponse())
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    address = script.address

    async with Client(address, address, correlation_id="flow-1") as client:
        await client.get_order(order_id=ORDER_ID, causation_id="event-1")
        await client.get_order(
            order_id=ORDER_ID, correlation_id="flow-2", traceparent=trace
        )

    first, second = (call.metadata for call in script.calls["GetOrder"])
    assert (first["x-correlation-id"], first["x-causation-id"]) == ("flow-1", "event-1")
    assert "traceparent" not in first
    assert (second["x-correlation-id"], second["traceparent"]) == ("flow-2", trace)
    assert "x-causation-id" not in second


async def test_what_metadata_cannot_carry_is_not_sent(client: Client) -> None:
    with pytest.raises(ValueError, match="correlation_id must be printable ASCII"):
        await client.get_order(order_id=ORDER_ID, correlation_id="fluß")
    with pytest.raises(ValueError, match="traceparent must be printable ASCII"):
        Client(traceparent="00-\n")


@pytest.mark.parametrize(
    ("options", "at_least", "at_most"),
    [
        ({}, 10, 15),
        ({"max_wait_seconds": 20.0}, 22, 25),
        # The server waits no longer than 30 s, so that neither does the client.
        ({"max_wait_seconds": 300.0}, 32, 35),
        ({"timeout_seconds": 5.0}, 2, 5),
        ({"timeout_seconds": 5.0, "max_wait_seconds": 20.0}, 2, 5),
    ],
)
async def test_a_call_has_a_deadline_that_outlasts_the_wait_it_asks_for(
    client: Client,
    script: Script,
    options: Any,
    at_least: float,
    at_most: float,
) -> None:
    script.on("GetOrder", GetOrderResponse())
    script.on("DeliverOrder", DeliverOrderResponse())

    await client.get_order(order_id=ORDER_ID, **options)
    await client.deliver_order(order_id=ORDER_ID, **options)

    for method in ("GetOrder", "DeliverOrder"):
        (came,) = script.calls[method]
        assert at_least < came.seconds_left <= at_most + WIRE_ROUNDING_SECONDS


async def never(request: Any, context: Any) -> None:
    await asyncio.Event().wait()


async def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome(
    client: Client, script: Script
) -> None:
    script.on("DeliverOrder", never)

    with pytest.raises(DeadlineExceeded) as raised:
        await client.deliver_order(
            order_id=ORDER_ID, command_id="c-1", timeout_seconds=1
        )

    assert raised.value.outcome is Outcome.UNKNOWN
    assert raised.value.command_id == "c-1"
    assert len(script.calls["DeliverOrder"]) == 1


async def test_a_caller_who_cancels_is_cancelled_and_nothing_is_repeated(
    client: Client, script: Script
) -> None:
    script.on("DeliverOrder", never)
    call = asyncio.create_task(client.deliver_order(order_id=ORDER_ID))
    await eventually(lambda: len(script.calls["DeliverOrder"]) == 1)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(script.calls["DeliverOrder"]) == 1


async def test_closing_the_client_ends_its_calls_with_an_error(script: Script) -> None:
    methods = ("DeliverOrder", "WatchOrders", "StreamCommands")
    script.on("DeliverOrder", never)
    script.on("WatchOrders", nothing)
    script.on("StreamCommands", nothing)

    async def watch() -> None:
        async for _ in client.watch_orders():
            pass

    async def stream() -> None:
        async for _ in client.stream_commands([DeliverOrderRequest(command_id="c-2")]):
            pass

    async with Client(script.address, script.address) as client:
        calls = [
            asyncio.create_task(client.deliver_order(order_id="o", command_id="c-1")),
            asyncio.create_task(watch()),
            asyncio.create_task(stream()),
        ]
        await eventually(lambda: all(script.calls[method] for method in methods))

    errors = []
    for call in calls:
        with pytest.raises(ClientClosed) as raised:
            await call
        errors.append(raised.value)
    assert {error.outcome for error in errors} == {Outcome.UNKNOWN}
    assert [error.command_id for error in errors] == ["c-1", "", "c-2"]


async def nothing(request: Any, context: Any) -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield None


async def test_a_client_is_opened_once_and_used_while_it_is_open(
    script: Script,
) -> None:
    script.on("GetOrder", GetOrderResponse())
    client = Client(script.address, script.address)

    with pytest.raises(RuntimeError, match="not open"):
        await client.get_order(order_id=ORDER_ID)
    async with client:
        await client.get_order(order_id=ORDER_ID)
        with pytest.raises(RuntimeError, match="opened once"):
            await client.__aenter__()
    with pytest.raises(RuntimeError, match="opened once"):
        await client.__aenter__()
    with pytest.raises(ClientClosed):
        await client.get_order(order_id=ORDER_ID)
    with pytest.raises(ClientClosed):
        await anext(aiter(client.watch_orders()))
    with pytest.raises(ClientClosed):
        await anext(client.stream_commands([DeliverOrderRequest(order_id=ORDER_ID)]))
