"""`orders`: each order as it is, ready to send, and what lists are filtered by."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from contexts.orders.events import (
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.read.columns import order_key
from contexts.orders.read.orders import ORDERS, order_products, orders
from contexts.orders.schemas import order_codec
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope
from orderes.v1 import order_pb2
from tests.orders.examples import (
    ORDER_ID,
    PAID_ORDER,
    PLACED,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
    line,
)
from tests.read.logs import logs
from tests.read.models import Model
from tests.support.order_log import a_log


class Naive:
    """An order, as a reader of the log with a notebook would keep it."""

    def __init__(self) -> None:
        self.customer_id = self.currency = self.reason = ""
        self.states: list[str] = []
        self.lines: dict[str, tuple[int, int]] = {}
        """Quantity and price by product, in the order in which they were added."""
        self.received: dict[str, int] = {}
        self.given_back: dict[str, int] = {}
        self.log: list[EventEnvelope] = []

    def take(self, envelope: EventEnvelope, event: OrderEvent) -> None:
        self.log.append(envelope)
        match event:
            case OrderPlaced():
                self.customer_id, self.currency = event.customer_id, event.currency_code
                for each in event.lines:
                    price = each.unit_price.minor_units
                    self.lines[each.product_id] = (each.quantity, price)
            case OrderLineAdded(line=added):
                price = added.unit_price.minor_units
                self.lines[added.product_id] = (added.quantity, price)
            case OrderLineRemoved(product_id=product_id):
                del self.lines[product_id]
            case OrderLineQuantityChanged():
                _, price = self.lines[event.product_id]
                self.lines[event.product_id] = (event.new_quantity, price)
            case PaymentReceived():
                self.received[event.payment_id] = event.amount.minor_units
            case PaymentRefunded():
                before = self.given_back.get(event.payment_id, 0)
                self.given_back[event.payment_id] = before + event.amount.minor_units
            case OrderPaid() | OrderShipped() | OrderDelivered():
                self.states.append(type(event).__name__.removeprefix("Order").upper())
            case OrderCancelled():
                self.states.append("CANCELLED")
                self.reason = event.reason

    @property
    def state(self) -> str:
        return self.states[-1] if self.states else "PLACED"


def naive(log: list[EventEnvelope]) -> dict[str, Naive]:
    found: dict[str, Naive] = {}
    for envelope in log:
        order = found.setdefault(envelope.stream.key, Naive())
        order.take(envelope, order_codec.decode(envelope))
    return found


def answer_in(row: dict[str, Any]) -> order_pb2.Order:
    return order_pb2.Order.FromString(row["answer"])


@settings(deadline=None, max_examples=25)
@given(logs())
def test_each_order_is_the_fold_of_its_events(log: list[EventEnvelope]) -> None:
    rows = Model(ORDERS).apply(log).rows(orders)
    expected = naive(log)
    assert rows.keys() == {(order_key(order_id),) for order_id in expected}
    for order_id, order in expected.items():
        row = rows[(order_key(order_id),)]
        answer = answer_in(row)
        first, last = order.log[0], order.log[-1]
        assert row["customer_id"] == answer.customer_id == order.customer_id
        assert row["state"] == order.state
        assert order_pb2.OrderState.Name(answer.state) == f"ORDER_STATE_{order.state}"
        assert row["place_time"] == answer.place_time.ToMicroseconds()
        assert row["place_time"] == first.record_time
        assert row["update_time"] == answer.update_time.ToMicroseconds()
        assert row["update_time"] == last.record_time
        assert row["version"] == answer.version == len(order.log)
        assert row["position"] == answer.position == last.position
        assert answer.order_id == order_id


@settings(deadline=None, max_examples=25)
@given(logs())
def test_lines_and_money_are_the_sum_of_the_events(log: list[EventEnvelope]) -> None:
    rows = Model(ORDERS).apply(log).rows(orders)
    for order_id, order in naive(log).items():
        answer = answer_in(rows[(order_key(order_id),)])
        assert [
            (each.product_id, (each.quantity, each.unit_price.minor_units))
            for each in answer.lines
        ] == list(order.lines.items())
        assert answer.total.minor_units == sum(
            quantity * price for quantity, price in order.lines.values()
        )
        assert answer.total.currency_code == order.currency
        assert answer.amount_paid.minor_units == sum(order.received.values())
        assert answer.amount_refunded.minor_units == sum(order.given_back.values())
        assert {
            payment.payment_id: (
                payment.amount.minor_units,
                payment.refunded.minor_units,
            )
            for payment in answer.payments
        } == {
            payment_id: (amount, order.given_back.get(payment_id, 0))
            for payment_id, amount in order.received.items()
        }
        assert answer.cancel_reason == order.reason


@settings(deadline=None, max_examples=25)
@given(logs())
def test_products_are_those_of_the_lines(log: list[EventEnvelope]) -> None:
    rows = Model(ORDERS).apply(log).rows(order_products)
    assert rows.keys() == {
        (product_id, order.log[0].record_time, order_key(order_id))
        for order_id, order in naive(log).items()
        for product_id in order.lines
    }


def test_a_product_that_comes_and_goes_within_a_batch_leaves_nothing() -> None:
    log = a_log(
        [
            (ORDER_ID, PLACED),
            (ORDER_ID, OrderLineAdded(line=line("cheese"))),
            (ORDER_ID, OrderLineRemoved(product_id="cheese")),
            (ORDER_ID, OrderLineRemoved(product_id="bread")),
        ]
    )
    for cut in ([log], [log[:2], log[2:]], [[event] for event in log]):
        rows = Model(ORDERS).apply(*cut).rows(order_products)
        assert [product_id for product_id, _, _ in rows] == ["apples"]


# What is left out of the log by an operator


def test_behind_an_event_that_is_left_out_an_order_keeps_the_version_of_the_log() -> (
    None
):
    log = a_log([(ORDER_ID, event) for event in SHIPPED_ORDER])
    for cut in ([log[:2] + log[3:]], [log[:2], log[3:]]):
        (row,) = Model(ORDERS).apply(*cut).rows(orders).values()
        assert row["version"] == answer_in(row).version == 5
        assert answer_in(row).amount_paid.minor_units == 1000


def test_without_its_placing_an_order_cannot_go_on() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    with pytest.raises(CorruptLog, match=f"{ORDER_ID} does not begin with its placing"):
        Model(ORDERS).apply(log[1:])


def test_without_the_payment_that_it_pays_back_a_refund_cannot_go_on() -> None:
    log = a_log([(ORDER_ID, event) for event in REFUNDED_ORDER])
    with pytest.raises(CorruptLog, match="pays back payment-1, which it has not had"):
        Model(ORDERS).apply([log[0], *log[2:]])


def test_without_its_shipping_an_order_cannot_be_delivered() -> None:
    log = a_log([(ORDER_ID, event) for event in REFUNDED_ORDER])
    with pytest.raises(CorruptLog, match="is delivered and was not shipped"):
        Model(ORDERS).apply([*log[:4], *log[5:]])


def test_an_event_that_comes_twice_is_an_error() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    model = Model(ORDERS).apply(log[:2])
    with pytest.raises(CorruptLog, match="is at version 2"):
        model.apply(log[1:2])


def test_an_order_that_is_placed_again_is_an_error() -> None:
    first, second = a_log([(ORDER_ID, PLACED), (ORDER_ID, PLACED)])
    model = Model(ORDERS).apply([first])
    with pytest.raises(CorruptLog, match="is placed again at position 2"):
        model.apply([second])
    with pytest.raises(CorruptLog, match="is at version 1"):
        model.apply([replace(second, stream_version=1)])
