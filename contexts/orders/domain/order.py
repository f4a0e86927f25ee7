"""The order aggregate: what may happen to an order, and when.

A decision checks in this order: the order exists; what is asked for was done before (nothing more
happens, in any state); the state; then the rules, in the order in which each function states them.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import assert_never

from contexts.orders.domain import refusals
from contexts.orders.domain.commands import (
    AddOrderLine,
    CancelOrder,
    ChangeOrderLineQuantity,
    DeliverOrder,
    OrderCommand,
    PlaceOrder,
    RecordPayment,
    RefundPayment,
    RemoveOrderLine,
    ShipOrder,
)
from contexts.orders.domain.state import (
    Order,
    Shipment,
    Status,
    evolve,
    initial_state,
    price,
)
from contexts.orders.events import (
    Money,
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
from eventcore.decider import Decider

LINES_MAX = 200
"""Keeps an order, and every answer that holds one, within what a message may carry."""

PAYMENTS_MAX = 1000
"""Every answer lists the payments, so they have an end."""

REFUNDS_MAX = 1000
"""The state keeps the refunds to know them again, so they have an end."""

AMOUNT_MAX = 2**63 - 1
"""An amount is an int64 on the wire and in every database."""


def decide(  # noqa: C901 (a union is taken apart in one place)
    command: OrderCommand, order: Order
) -> list[OrderEvent]:
    """What the command causes; nothing if it was done before.

    Raises:
        Refusal: the order does not allow it.
    """
    if isinstance(command, PlaceOrder):
        return _place_order(command, order)
    if order.status is Status.ABSENT:
        raise refusals.OrderNotFound(order_id=command.order_id)
    match command:
        case AddOrderLine():
            events = _add_order_line(command, order)
        case RemoveOrderLine():
            events = _remove_order_line(command, order)
        case ChangeOrderLineQuantity():
            events = _change_order_line_quantity(command, order)
        case RecordPayment():
            events = _record_payment(command, order)
        case ShipOrder():
            events = _ship_order(command, order)
        case DeliverOrder():
            events = _deliver_order(command, order)
        case CancelOrder():
            events = _cancel_order(command, order)
        case RefundPayment():
            events = _refund_payment(command, order)
        case _:
            assert_never(command)
    return events


ORDER_DECIDER: Decider[OrderCommand, Order, OrderEvent] = Decider(
    initial_state=initial_state, evolve=evolve, decide=decide
)


def _place_order(command: PlaceOrder, order: Order) -> list[OrderEvent]:
    if order.status is not Status.ABSENT:
        raise refusals.OrderAlreadyExists(order_id=command.order_id)
    _require_total(command, sum(map(price, command.lines)))
    return [
        OrderPlaced(
            customer_id=command.customer_id,
            currency_code=command.lines[0].unit_price.currency_code,
            lines=command.lines,
        )
    ]


def _add_order_line(command: AddOrderLine, order: Order) -> list[OrderEvent]:
    line = command.line
    _require_open_lines(command, order)
    if line.product_id in order.lines:
        raise refusals.ProductAlreadyInOrder(
            order_id=command.order_id, product_id=line.product_id
        )
    _require_currency(command, order, line.unit_price)
    if len(order.lines) >= LINES_MAX:
        raise refusals.TooManyLines(order_id=command.order_id, limit=LINES_MAX)
    _require_total(command, order.total + price(line))
    return [OrderLineAdded(line=line)]


def _remove_order_line(command: RemoveOrderLine, order: Order) -> list[OrderEvent]:
    _require_open_lines(command, order)
    if command.product_id not in order.lines:
        raise refusals.LineNotFound(
            order_id=command.order_id, product_id=command.product_id
        )
    if len(order.lines) == 1:
        raise refusals.LastLine(
            order_id=command.order_id, product_id=command.product_id
        )
    return [OrderLineRemoved(product_id=command.product_id)]


def _change_order_line_quantity(
    command: ChangeOrderLineQuantity, order: Order
) -> list[OrderEvent]:
    line = order.lines.get(command.product_id)
    if line is not None and line.quantity == command.quantity:
        return []
    _require_open_lines(command, order)
    if line is None:
        raise refusals.LineNotFound(
            order_id=command.order_id, product_id=command.product_id
        )
    changed = replace(line, quantity=command.quantity)
    _require_total(command, order.total - price(line) + price(changed))
    return [
        OrderLineQuantityChanged(
            product_id=command.product_id,
            old_quantity=line.quantity,
            new_quantity=command.quantity,
        )
    ]


def _record_payment(command: RecordPayment, order: Order) -> list[OrderEvent]:
    known = order.payments.get(command.payment_id)
    if known is not None and order.money(known.amount) == command.amount:
        return []
    _require_status(command, order, (Status.PLACED,))
    if known is not None:
        raise refusals.PaymentIdReused(
            order_id=command.order_id,
            payment_id=command.payment_id,
            recorded=order.money(known.amount),
        )
    _require_currency(command, order, command.amount)
    if order.payment_count >= PAYMENTS_MAX:
        raise refusals.TooManyPayments(order_id=command.order_id, limit=PAYMENTS_MAX)
    due = order.total - order.paid
    if command.amount.minor_units > due:
        raise refusals.Overpayment(
            order_id=command.order_id,
            amount=command.amount.minor_units,
            due=due,
            currency_code=order.currency_code,
        )
    received = PaymentReceived(payment_id=command.payment_id, amount=command.amount)
    if command.amount.minor_units < due:
        return [received]
    return [received, OrderPaid(amount_paid=order.money(order.total))]


def _ship_order(command: ShipOrder, order: Order) -> list[OrderEvent]:
    asked = Shipment(carrier=command.carrier, tracking_number=command.tracking_number)
    if order.shipment == asked:
        return []
    _require_status(command, order, (Status.PAID,))
    return [
        OrderShipped(carrier=command.carrier, tracking_number=command.tracking_number)
    ]


def _deliver_order(command: DeliverOrder, order: Order) -> list[OrderEvent]:
    if order.status is Status.DELIVERED:
        return []
    _require_status(command, order, (Status.SHIPPED,))
    return [OrderDelivered()]


def _cancel_order(command: CancelOrder, order: Order) -> list[OrderEvent]:
    if order.status is Status.CANCELLED:
        return []
    _require_status(command, order, (Status.PLACED, Status.PAID))
    return [
        OrderCancelled(
            reason=command.reason,
            reason_code=command.reason_code,
            refund_due=order.money(order.paid),
        )
    ]


def _refund_payment(command: RefundPayment, order: Order) -> list[OrderEvent]:
    known = order.refunds.get(command.refund_id)
    if (
        known is not None
        and known.payment_id == command.payment_id
        and order.money(known.amount) == command.amount
    ):
        return []
    _require_status(command, order, (Status.CANCELLED, Status.DELIVERED))
    if known is not None:
        raise refusals.RefundIdReused(
            order_id=command.order_id,
            refund_id=command.refund_id,
            payment_id=known.payment_id,
            recorded=order.money(known.amount),
        )
    payment = order.payments.get(command.payment_id)
    if payment is None:
        raise refusals.PaymentNotFound(
            order_id=command.order_id, payment_id=command.payment_id
        )
    _require_currency(command, order, command.amount)
    if order.refund_count >= REFUNDS_MAX:
        raise refusals.TooManyRefunds(order_id=command.order_id, limit=REFUNDS_MAX)
    refundable = payment.amount - payment.refunded
    if command.amount.minor_units > refundable:
        raise refusals.RefundExceedsPayment(
            order_id=command.order_id,
            payment_id=command.payment_id,
            amount=command.amount.minor_units,
            refundable=refundable,
            currency_code=order.currency_code,
        )
    return [
        PaymentRefunded(
            payment_id=command.payment_id,
            refund_id=command.refund_id,
            amount=command.amount,
        )
    ]


def _require_status(
    command: OrderCommand, order: Order, allowed: Collection[Status]
) -> None:
    if order.status not in allowed:
        raise refusals.InvalidOrderState(
            order_id=command.order_id,
            command=type(command).__name__,
            state=order.status.value,
            allowed_states=[status.value for status in allowed],
        )


def _require_open_lines(command: OrderCommand, order: Order) -> None:
    _require_status(command, order, (Status.PLACED,))
    if order.paid:
        raise refusals.PaymentStarted(
            order_id=command.order_id,
            paid=order.paid,
            currency_code=order.currency_code,
        )


def _require_currency(command: OrderCommand, order: Order, money: Money) -> None:
    if money.currency_code != order.currency_code:
        raise refusals.CurrencyMismatch(
            order_id=command.order_id,
            currency_code=order.currency_code,
            given=money.currency_code,
        )


def _require_total(command: OrderCommand, total: int) -> None:
    if total > AMOUNT_MAX:
        raise refusals.AmountTooLarge(
            order_id=command.order_id, total=total, limit=AMOUNT_MAX
        )
