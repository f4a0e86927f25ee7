"""What people see when they place, change and read orders."""

import json

import grpc
import pytest
from click.testing import CliRunner

from cli import client
from cli.__main__ import main
from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_pb2 import Command, CommandStage, Lane, WaitFor
from orderes.v1.command_service_pb2 import (
    PlaceOrderRequest,
    PlaceOrderResponse,
    ShipOrderRequest,
)
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.order_pb2 import Order, OrderLine, OrderState, Payment, PaymentState
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    GetOrderResponse,
    ListOrderEventsResponse,
    ListOrdersRequest,
    ListOrdersResponse,
)
from tests.cli.scripted import Run, ScriptedServer, refusal, words_of
from tests.support.processes import free_port

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
ORDER = Order(
    order_id=ORDER_ID,
    customer_id="c-1",
    state=OrderState.ORDER_STATE_PLACED,
    payment_state=PaymentState.PAYMENT_STATE_UNPAID,
    currency_code="EUR",
    lines=[
        OrderLine(
            product_id="book",
            quantity=2,
            unit_price=Money(currency_code="EUR", minor_units=1999),
        )
    ],
    total=Money(currency_code="EUR", minor_units=3998),
    amount_paid=Money(currency_code="EUR"),
    amount_refunded=Money(currency_code="EUR"),
    version=1,
    position=7,
)
PLACED = PlaceOrderResponse(
    command=Command(
        command_id="k-1",
        correlation_id="flow-1",
        type="PlaceOrder",
        order_id=ORDER_ID,
        stage=CommandStage.COMMAND_STAGE_COMMITTED,
        order_version=1,
        position=7,
        event_count=1,
    ),
    order=ORDER,
)
PLACE = ("place", "--customer", "c-1", "--line", "book:2:19.99 EUR")


def test_placing_an_order_sends_what_was_typed(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["PlaceOrder"] = [PLACED]

    run(*PLACE, "--line", "urn:isbn:1:1:500 JPY", "--order-id", ORDER_ID)

    request = PlaceOrderRequest.FromString(server.requests["PlaceOrder"][0])
    assert request.customer_id == "c-1"
    assert request.order_id == ORDER_ID
    assert request.options.wait_for == WaitFor.WAIT_FOR_COMMITTED
    assert not request.HasField("expected_version")
    assert [
        (line.product_id, line.quantity, line.unit_price.minor_units)
        for line in request.lines
    ] == [("book", 2, 1999), ("urn:isbn:1", 1, 500)]


def test_a_receipt_shows_what_is_needed_to_go_on(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["PlaceOrder"] = [PLACED]

    result = run(*PLACE, "--command-id", "k-1")

    assert result.exit_code == 0
    words = words_of(result)
    assert f"order {ORDER_ID}" in words
    assert "version 1 position 7 stage COMMITTED events 1 deduplicated no" in words
    assert f"order get {ORDER_ID} --read-address {server.address} --min-position 7" in (
        words
    )


def test_a_command_id_is_made_and_shown_before_it_is_needed(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["PlaceOrder"] = [PLACED]

    result = run(*PLACE)

    request = PlaceOrderRequest.FromString(server.requests["PlaceOrder"][0])
    assert request.command_id[14] == "7"  # A UUIDv7.
    assert result.stderr.startswith(f"command_id {request.command_id} (made here")


def test_options_of_delivery_and_the_correlation_id_travel_with_the_call(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["ShipOrder"] = [PLACED]

    run(
        *("ship", ORDER_ID, "--carrier", "dhl", "--tracking-number", "t-1"),
        *("--command-id", "k-2", "--expected-version", "3", "--lane", "bulk"),
        *("--wait-for", "accepted", "--max-wait-seconds", "2.5"),
        *("--correlation-id", "flow-9"),
    )

    request = ShipOrderRequest.FromString(server.requests["ShipOrder"][0])
    assert request.expected_version == 3
    assert request.options.lane == Lane.LANE_BULK
    assert request.options.wait_for == WaitFor.WAIT_FOR_ACCEPTED
    assert request.options.max_wait.ToMilliseconds() == 2500
    assert server.metadata["x-correlation-id"] == "flow-9"


def test_json_is_the_proto3_json_of_the_answer_with_every_field(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["PlaceOrder"] = [PLACED]

    result = run(*PLACE, "--command-id", "k-1", "--json")

    answer = json.loads(result.stdout)
    assert answer["command"]["position"] == "7"
    assert answer["command"]["deduplicated"] is False
    assert answer["order"]["total"] == {"currency_code": "EUR", "minor_units": "3998"}


def test_an_order_is_read_with_the_position_that_was_asked_for(
    server: ScriptedServer, run: Run
) -> None:
    order = Order()
    order.CopyFrom(ORDER)
    order.payments.append(
        Payment(
            payment_id="p-1",
            amount=Money(currency_code="EUR", minor_units=1000),
            refunded=Money(currency_code="EUR"),
        )
    )
    answer = GetOrderResponse(order=order, read_info=ReadInfo(position=7))
    server.answers["GetOrder"] = [answer]

    result = run("get", ORDER_ID, "--min-position", "7", "--max-wait-seconds", "1")

    request = GetOrderRequest.FromString(server.requests["GetOrder"][0])
    assert request.consistency.min_position == 7
    assert request.consistency.max_wait.ToSeconds() == 1
    words = words_of(result)
    assert "state PLACED payment UNPAID total 39.98 EUR" in words
    assert "book 2 19.99 EUR" in words
    assert "p-1 10.00 EUR 0.00 EUR" in words
    assert "read at position 7, up to date" in words


def test_orders_are_listed_with_the_filters_that_were_typed(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["ListOrders"] = [
        ListOrdersResponse(orders=[ORDER], next_page_token="t-2")
    ]

    result = run(
        *("list", "--customer", "c-1", "--state", "placed", "--state", "paid"),
        *("--placed-since", "2026-11-23T10:00:00+01:00", "--page-size", "1"),
    )

    request = ListOrdersRequest.FromString(server.requests["ListOrders"][0])
    assert request.customer_id == "c-1"
    assert list(request.states) == [1, 2]
    assert request.placed_since.ToJsonString() == "2026-11-23T09:00:00Z"
    assert request.page_size == 1
    words = words_of(result)
    assert f"{ORDER_ID} c-1 PLACED UNPAID 39.98 EUR 1" in words
    assert "There is more: --page-token t-2" in words


def test_history_tells_each_event_in_a_line(server: ScriptedServer, run: Run) -> None:
    answer = ListOrderEventsResponse()
    placed = answer.events.add(type="OrderPlaced", order_version=1, position=7)
    placed.order_placed.customer_id = "c-1"
    price = Money(currency_code="EUR", minor_units=1999)
    placed.order_placed.lines.add(product_id="book", quantity=2, unit_price=price)
    paid = answer.events.add(type="PaymentReceived", order_version=2, position=9)
    paid.payment_received.payment_id = "p-1"
    paid.payment_received.amount.CopyFrom(price)
    answer.events.add(type="OrderPraised", order_version=3, position=11)
    server.answers["ListOrderEvents"] = [answer]

    result = run("history", ORDER_ID)

    words = words_of(result)
    assert "OrderPlaced c-1 ordered 2 × book at 19.99 EUR" in words  # noqa: RUF001
    assert "PaymentReceived 19.99 EUR with p-1" in words
    assert "3 11 1970-01-01 00:00:00 OrderPraised" in words


def test_a_refusal_names_every_field_with_its_flag(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["PlaceOrder"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields: customer_id, lines[1].quantity, order_id",
            reason="INVALID_FIELDS",
            fields={
                "customer_id": "required: 1 to 128 characters",
                "lines[1].quantity": "is 0, must be 1 to 10000",
                "order_id": "must be a UUID",
            },
        )
    ]

    result = run(*PLACE)

    assert result.exit_code == 1
    assert result.stdout == ""
    words = " ".join(result.stderr.split())
    assert "Refused INVALID_ARGUMENT · INVALID_FIELDS" in words
    assert "--customer customer_id required: 1 to 128 characters" in words
    assert "--line (2nd) lines[1].quantity is 0, must be 1 to 10000" in words
    assert "--order-id order_id must be a UUID" in words


def test_a_refused_rule_is_named_with_its_facts_and_the_next_step(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["CancelOrder"] = [
        refusal(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the order is SHIPPED",
            reason="RULE_VIOLATED",
            rule="INVALID_ORDER_STATE",
            facts={"state": "SHIPPED", "allowed_states": "PLACED,PAID"},
        )
    ]

    result = run("cancel", ORDER_ID, "--reason", "late")

    assert result.exit_code == 1
    words = " ".join(result.stderr.split())
    assert "FAILED_PRECONDITION · RULE_VIOLATED · INVALID_ORDER_STATE" in words
    assert "allowed_states PLACED,PAID state SHIPPED" in words
    assert f"order get {ORDER_ID}" in words


def test_a_refusal_as_json_is_a_google_rpc_status(
    server: ScriptedServer, run: Run
) -> None:
    status = refusal(
        grpc.StatusCode.NOT_FOUND, "no such order", reason="ORDER_NOT_FOUND"
    )
    server.answers["GetOrder"] = [status]

    result = run("get", ORDER_ID, "--json")

    assert result.exit_code == 1
    answer = json.loads(result.stderr)
    assert answer["message"] == "no such order"
    assert answer["details"][0]["reason"] == "ORDER_NOT_FOUND"


def test_a_full_queue_is_tried_again_with_the_same_command_id(
    server: ScriptedServer, run: Run
) -> None:
    full = refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the queue is full",
        reason="COMMAND_QUEUE_FULL",
        retry_seconds=0.1,
    )
    server.answers["PlaceOrder"] = [full, full, PLACED]

    result = run(*PLACE)

    assert result.exit_code == 0
    sent = {
        PlaceOrderRequest.FromString(request).command_id
        for request in server.requests["PlaceOrder"]
    }
    assert (len(sent), len(server.requests["PlaceOrder"])) == (1, 3)


def test_retries_end(server: ScriptedServer, run: Run) -> None:
    full = refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the queue is full",
        reason="COMMAND_QUEUE_FULL",
        retry_seconds=0.1,
    )
    server.answers["PlaceOrder"] = [full]

    result = run(*PLACE, "--command-id", "k-1")

    assert result.exit_code == 1
    assert len(server.requests["PlaceOrder"]) == 5
    assert "wait 0.1 s, then send the same again with --command-id k-1" in (
        " ".join(result.stderr.split())
    )


def test_where_nobody_listens_it_is_said_how_to_start_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "RETRYING", client.NOT_RETRYING)
    address = f"127.0.0.1:{free_port()}"
    words = ["order", *PLACE, "--command-id", "k-1", "--write-address", address]

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 1
    assert "No answer" in result.stderr
    assert f"no server answers at {address}" in " ".join(result.stderr.split())
    assert "orderes up" in result.stderr
    assert "--command-id k-1" in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["place", "--customer", "c-1", "--line", "book"], "product:quantity:price"),
        (["place", "--customer", "c-1", "--line", "b:x:1 EUR"], "is not a line"),
        (["place", "--customer", "c-1", "--line", "b:1:1.999 EUR"], "has 3 decimals"),
        (["place", "--customer", "c-1"], "Missing option '--line'"),
        (["pay", ORDER_ID, "--payment-id", "p", "--amount", "5"], "three capital"),
        (["list", "--placed-since", "yesterday"], "is not a time"),
        (["list", "--state", "lost"], "is not one of"),
    ],
)
def test_what_cannot_be_read_is_a_fault_of_usage(
    words: list[str], complaint: str
) -> None:
    result = CliRunner().invoke(main, ["order", *words])

    assert result.exit_code == 2
    assert complaint in result.stderr


def test_the_release_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.output.startswith("orderes, version 0.")
