"""The order that clients see: a pure fold of its events, their times and their positions.

The answers of the write side, the `orders` read model and everything that looks back in time use
this one fold, so that they cannot disagree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import assert_never

from contexts.orders.events import (
    CancelReason,
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
from eventcore.errors import CorruptLog
from eventcore.messages import Instant


class OrderState(Enum):
    """Where an order is in its life."""

    PLACED = "PLACED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


class PaymentState(Enum):
    """How much of an order's money has moved."""

    UNPAID = "UNPAID"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    PAID = "PAID"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """Money received, and how much of it went back."""

    payment_id: str
    amount: Money
    refunded: Money
    record_time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentView:
    """How an order travels."""

    carrier: str
    tracking_number: str
    ship_time: Instant
    deliver_time: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order as of one version."""

    order_id: str
    customer_id: str
    state: OrderState
    currency_code: str
    lines: tuple[OrderLine, ...]
    total: Money
    amount_paid: Money
    amount_refunded: Money
    payments: tuple[PaymentView, ...] = ()
    shipment: ShipmentView | None = None
    cancel_reason: str = ""
    cancel_reason_code: CancelReason | None = None
    """None unless the order is cancelled."""
    version: int
    position: int
    place_time: Instant
    update_time: Instant

    @property
    def payment_state(self) -> PaymentState:
        """How much of the money has moved."""
        paid = self.amount_paid.minor_units
        refunded = self.amount_refunded.minor_units
        if not paid:
            return PaymentState.UNPAID
        if refunded:
            partly = refunded < paid
            return PaymentState.PARTIALLY_REFUNDED if partly else PaymentState.REFUNDED
        partly = paid < self.total.minor_units
        return PaymentState.PARTIALLY_PAID if partly else PaymentState.PAID


def fold_view(
    order_id: str,
    history: Iterable[tuple[OrderEvent, int, Instant]],
    view: OrderView | None = None,
) -> OrderView | None:
    """The order after a history of events, each with its position and its record time.

    `view` is the order before them: None if they begin with its first event.
    """
    for event, position, record_time in history:
        view = evolve_view(
            view, order_id, event, position=position, record_time=record_time
        )
    return view


def evolve_view(  # noqa: C901 (a union is taken apart in one place)
    view: OrderView | None,
    order_id: str,
    event: OrderEvent,
    *,
    position: int,
    record_time: Instant,
    version: int | None = None,
) -> OrderView:
    """The order after one more event; `view` is None before the first.

    `version` is that of the event in its stream; None if it follows on the one before. It does not
    where an operator has had an event left out of a read model.

    Raises:
        CorruptLog: the first event does not place the order, a later one places it again, or one
            builds on an event that is not there.
    """
    if isinstance(event, OrderPlaced):
        if view is not None:
            raise CorruptLog(f"order {order_id} is placed again at position {position}")
        return _placed(order_id, event, position=position, record_time=record_time)
    if view is None:
        raise CorruptLog(f"order {order_id} does not begin with its placing")
    changed = partial(
        replace,
        view,
        version=version or view.version + 1,
        position=position,
        update_time=record_time,
    )
    match event:
        case OrderLineAdded() | OrderLineRemoved() | OrderLineQuantityChanged():
            lines = changed_lines(view.lines, event)
            after = changed(lines=lines, total=_total(view.currency_code, lines))
        case PaymentReceived(amount=amount):
            payments = (*view.payments, _payment(event, record_time))
            after = changed(
                payments=payments, amount_paid=_sum(view.amount_paid, amount)
            )
        case OrderPaid():
            after = changed(state=OrderState.PAID)
        case OrderShipped():
            shipment = _shipment(event, record_time)
            after = changed(state=OrderState.SHIPPED, shipment=shipment)
        case OrderDelivered():
            shipment = _delivered(view, position, record_time)
            after = changed(state=OrderState.DELIVERED, shipment=shipment)
        case OrderCancelled(reason=reason, reason_code=code):
            after = changed(
                state=OrderState.CANCELLED,
                cancel_reason=reason,
                cancel_reason_code=code,
            )
        case PaymentRefunded(amount=amount):
            payments = _with_refund(view, position, event)
            refunded = _sum(view.amount_refunded, amount)
            after = changed(payments=payments, amount_refunded=refunded)
        case _:
            assert_never(event)
    return after


def _placed(
    order_id: str, event: OrderPlaced, *, position: int, record_time: Instant
) -> OrderView:
    nothing = Money(currency_code=event.currency_code, minor_units=0)
    return OrderView(
        order_id=order_id,
        customer_id=event.customer_id,
        state=OrderState.PLACED,
        currency_code=event.currency_code,
        lines=event.lines,
        total=_total(event.currency_code, event.lines),
        amount_paid=nothing,
        amount_refunded=nothing,
        version=1,
        position=position,
        place_time=record_time,
        update_time=record_time,
    )


def _total(currency_code: str, lines: Iterable[OrderLine]) -> Money:
    return Money(
        currency_code=currency_code,
        minor_units=sum(line.quantity * line.unit_price.minor_units for line in lines),
    )


def _sum(money: Money, more: Money) -> Money:
    return Money(
        currency_code=money.currency_code,
        minor_units=money.minor_units + more.minor_units,
    )


def changed_lines(
    lines: tuple[OrderLine, ...],
    event: OrderLineAdded | OrderLineRemoved | OrderLineQuantityChanged,
) -> tuple[OrderLine, ...]:
    """The lines of an order after one of them was added, removed or changed."""
    match event:
        case OrderLineAdded():
            return (*lines, event.line)
        case OrderLineRemoved():
            return tuple(line for line in lines if line.product_id != event.product_id)
        case OrderLineQuantityChanged():
            return tuple(
                replace(line, quantity=event.new_quantity)
                if line.product_id == event.product_id
                else line
                for line in lines
            )
        case _:
            assert_never(event)


def _payment(event: PaymentReceived, record_time: Instant) -> PaymentView:
    return PaymentView(
        payment_id=event.payment_id,
        amount=event.amount,
        refunded=Money(currency_code=event.amount.currency_code, minor_units=0),
        record_time=record_time,
    )


def _with_refund(
    view: OrderView, position: int, event: PaymentRefunded
) -> tuple[PaymentView, ...]:
    payments = view.payments
    for place, payment in enumerate(payments):
        if payment.payment_id == event.payment_id:
            paid_back = replace(payment, refunded=_sum(payment.refunded, event.amount))
            return (*payments[:place], paid_back, *payments[place + 1 :])
    raise CorruptLog(
        f"order {view.order_id} pays back {event.payment_id}, which it has not had, at position "
        f"{position}"
    )


def _shipment(event: OrderShipped, record_time: Instant) -> ShipmentView:
    return ShipmentView(
        carrier=event.carrier,
        tracking_number=event.tracking_number,
        ship_time=record_time,
    )


def _delivered(view: OrderView, position: int, record_time: Instant) -> ShipmentView:
    if view.shipment is None:
        raise CorruptLog(
            f"order {view.order_id} is delivered and was not shipped, at position {position}"
        )
    return replace(view.shipment, deliver_time=record_time)
