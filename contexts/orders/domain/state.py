"""The state of an order: what its decisions need to know, and the fold of its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from contexts.orders.domain.growing_map import GrowingMap
from contexts.orders.events import (
    Money,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLine,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)


class Status(Enum):
    """Where an order is in its life."""

    ABSENT = "ABSENT"
    PLACED = "PLACED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money received, and how much of it went back, in minor units."""

    amount: int
    refunded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that went back."""

    payment_id: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """How the order travels."""

    carrier: str
    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What decisions need to know of an order. Amounts are in minor units of its currency."""

    status: Status = Status.ABSENT
    currency_code: str = ""
    lines: Mapping[str, OrderLine] = field(default_factory=dict)
    """By product."""
    total: int = 0
    paid: int = 0
    payments: GrowingMap[Payment] = field(default_factory=GrowingMap)
    payment_count: int = 0
    refunds: GrowingMap[Refund] = field(default_factory=GrowingMap)
    refund_count: int = 0
    shipment: Shipment | None = None

    def money(self, minor_units: int) -> Money:
        """An amount in the currency of the order."""
        return Money(currency_code=self.currency_code, minor_units=minor_units)


def initial_state() -> Order:
    """An order that was not placed yet."""
    return Order()


def evolve(order: Order, event: OrderEvent) -> Order:  # noqa: C901 (one union, one place)
    """The order after one more event. It trusts the log: what was decided is not judged again."""
    match event:
        case OrderPlaced():
            after = _placed(event)
        case OrderLineAdded(line=line):
            after = _with_lines(order, {**order.lines, line.product_id: line})
        case OrderLineRemoved(product_id=removed):
            kept = {key: line for key, line in order.lines.items() if key != removed}
            after = _with_lines(order, kept)
        case OrderLineQuantityChanged(product_id=changed, new_quantity=quantity):
            line = replace(order.lines[changed], quantity=quantity)
            after = _with_lines(order, {**order.lines, changed: line})
        case PaymentReceived():
            after = _with_payment(order, event)
        case OrderPaid():
            after = replace(order, status=Status.PAID)
        case OrderShipped(carrier=carrier, tracking_number=tracking_number):
            shipment = Shipment(carrier=carrier, tracking_number=tracking_number)
            after = replace(order, status=Status.SHIPPED, shipment=shipment)
        case OrderDelivered():
            after = replace(order, status=Status.DELIVERED)
        case OrderCancelled():
            after = replace(order, status=Status.CANCELLED)
        case PaymentRefunded():
            after = _with_refund(order, event)
        case _:
            assert_never(event)
    return after


def _placed(event: OrderPlaced) -> Order:
    return Order(
        status=Status.PLACED,
        currency_code=event.currency_code,
        lines={line.product_id: line for line in event.lines},
        total=sum(map(price, event.lines)),
    )


def price(line: OrderLine) -> int:
    """What all pieces of a line cost."""
    return line.quantity * line.unit_price.minor_units


def _with_lines(order: Order, lines: Mapping[str, OrderLine]) -> Order:
    return replace(order, lines=lines, total=sum(map(price, lines.values())))


def _with_payment(order: Order, event: PaymentReceived) -> Order:
    payment = Payment(amount=event.amount.minor_units)
    return replace(
        order,
        paid=order.paid + payment.amount,
        payments=order.payments.including(event.payment_id, payment),
        payment_count=order.payment_count + 1,
    )


def _with_refund(order: Order, event: PaymentRefunded) -> Order:
    refund = Refund(payment_id=event.payment_id, amount=event.amount.minor_units)
    payment = order.payments.get(event.payment_id)
    assert payment is not None
    paid_back = replace(payment, refunded=payment.refunded + refund.amount)
    return replace(
        order,
        payments=order.payments.including(event.payment_id, paid_back),
        refunds=order.refunds.including(event.refund_id, refund),
        refund_count=order.refund_count + 1,
    )
