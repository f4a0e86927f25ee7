"""The command table: every command in every state."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest

from contexts.orders.domain.commands import (
    AddOrderLine,
    CancelOrder,
    ChangeOrderLineQuantity,
    DeliverOrder,
    OrderCommand,
    RecordPayment,
    RefundPayment,
    RemoveOrderLine,
    ShipOrder,
)
from contexts.orders.domain.order import decide
from contexts.orders.events import (
    CancelReason,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)
from tests.orders.examples import (
    CANCELLED_ORDER,
    DELIVERED_ORDER,
    ORDER_ID,
    PAID_ORDER,
    PARTLY_PAID_ORDER,
    PLACE,
    PLACED,
    PLACED_ORDER,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
    euro,
    line,
)
from tests.support.given import given

Expected: TypeAlias = tuple[OrderEvent, ...] | str
"""Events, none of them where it was done before, or why it is refused."""

PASTS: Mapping[str, Sequence[OrderEvent]] = {
    "absent": (),
    "placed": PLACED_ORDER,
    "partly paid": PARTLY_PAID_ORDER,
    "paid": PAID_ORDER,
    "shipped": SHIPPED_ORDER,
    "delivered": DELIVERED_ORDER,
    "refunded": REFUNDED_ORDER,
    "cancelled": CANCELLED_ORDER,
}

NOTHING: tuple[OrderEvent, ...] = ()
NONE = "ORDER_NOT_FOUND"
TAKEN = "ORDER_ALREADY_EXISTS"
STARTED = "PAYMENT_STARTED"
STATE = "INVALID_ORDER_STATE"

CHEESE = line("cheese", 1, euro(300))
ADDED = (OrderLineAdded(line=CHEESE),)
REMOVED = (OrderLineRemoved(product_id="bread"),)
THREE_APPLES = (
    OrderLineQuantityChanged(product_id="apples", old_quantity=2, new_quantity=3),
)
RECEIVED = PaymentReceived(payment_id="payment-3", amount=euro(999))
FIRST_RECEIVED = PaymentReceived(payment_id="payment-1", amount=euro(1000))
ALL_PAID = OrderPaid(amount_paid=euro(1999))
SENT = (OrderShipped(carrier="post", tracking_number="T-1"),)
SENT_ELSEWHERE = (OrderShipped(carrier="post", tracking_number="T-2"),)
ARRIVED = (OrderDelivered(),)
PAID_BACK = (
    PaymentRefunded(payment_id="payment-1", refund_id="refund-2", amount=euro(600)),
)
FIRST_PAID_BACK = (
    PaymentRefunded(payment_id="payment-1", refund_id="refund-1", amount=euro(400)),
)


def cancelled(refund_due: int) -> tuple[OrderEvent, ...]:
    return (
        OrderCancelled(
            reason="too late",
            reason_code=CancelReason.OUT_OF_STOCK,
            refund_due=euro(refund_due),
        ),
    )


ADD = AddOrderLine(order_id=ORDER_ID, line=CHEESE)
REMOVE = RemoveOrderLine(order_id=ORDER_ID, product_id="bread")
CHANGE = ChangeOrderLineQuantity(order_id=ORDER_ID, product_id="apples", quantity=3)
SAME_QUANTITY = ChangeOrderLineQuantity(
    order_id=ORDER_ID, product_id="apples", quantity=2
)
PAY = RecordPayment(order_id=ORDER_ID, payment_id="payment-3", amount=euro(999))
SAME_PAYMENT = RecordPayment(
    order_id=ORDER_ID, payment_id="payment-1", amount=euro(1000)
)
SHIP = ShipOrder(order_id=ORDER_ID, carrier="post", tracking_number="T-1")
SHIP_ELSEWHERE = ShipOrder(order_id=ORDER_ID, carrier="post", tracking_number="T-2")
DELIVER = DeliverOrder(order_id=ORDER_ID)
CANCEL = CancelOrder(
    order_id=ORDER_ID, reason="too late", reason_code=CancelReason.OUT_OF_STOCK
)
REFUND = RefundPayment(
    order_id=ORDER_ID, payment_id="payment-1", refund_id="refund-2", amount=euro(600)
)
SAME_REFUND = RefundPayment(
    order_id=ORDER_ID, payment_id="payment-1", refund_id="refund-1", amount=euro(400)
)

# In the order of PASTS: absent, placed, partly paid, paid, shipped, delivered, refunded, cancelled.
TABLE: Sequence[tuple[str, OrderCommand, Sequence[Expected]]] = (
    ("place", PLACE, ((PLACED,), *[TAKEN] * 7)),
    ("add", ADD, (NONE, ADDED, STARTED, *[STATE] * 5)),
    ("remove", REMOVE, (NONE, REMOVED, STARTED, *[STATE] * 5)),
    ("change", CHANGE, (NONE, THREE_APPLES, STARTED, *[STATE] * 5)),
    ("same quantity", SAME_QUANTITY, (NONE, *[NOTHING] * 7)),
    ("pay", PAY, (NONE, (RECEIVED,), (RECEIVED, ALL_PAID), *[STATE] * 5)),
    ("same payment", SAME_PAYMENT, (NONE, (FIRST_RECEIVED,), *[NOTHING] * 6)),
    ("ship", SHIP, (NONE, STATE, STATE, SENT, *[NOTHING] * 3, STATE)),
    ("ship else", SHIP_ELSEWHERE, (NONE, STATE, STATE, SENT_ELSEWHERE, *[STATE] * 4)),
    ("deliver", DELIVER, (NONE, *[STATE] * 3, ARRIVED, NOTHING, NOTHING, STATE)),
    (
        "cancel",
        CANCEL,
        (NONE, *map(cancelled, (0, 1000, 1999)), *[STATE] * 3, NOTHING),
    ),
    ("refund", REFUND, (NONE, *[STATE] * 4, *[PAID_BACK] * 3)),
    (
        "same refund",
        SAME_REFUND,
        (NONE, *[STATE] * 4, FIRST_PAID_BACK, NOTHING, FIRST_PAID_BACK),
    ),
)

CELLS = [
    pytest.param(past, command, expected, id=f"{name}, {past_name}")
    for name, command, row in TABLE
    for (past_name, past), expected in zip(PASTS.items(), row, strict=True)
]


@pytest.mark.parametrize(("past", "command", "expected"), CELLS)
def test_every_command_in_every_state_does_what_the_table_says(
    past: Sequence[OrderEvent], command: OrderCommand, expected: Expected
) -> None:
    outcome = given(*past).when(decide, command)
    if isinstance(expected, str):
        outcome.then_refused(expected, order_id=ORDER_ID)
    else:
        outcome.then(*expected)


@pytest.mark.parametrize(
    ("past", "command", "state", "allowed_states"),
    [
        (PAID_ORDER, ADD, "PAID", "PLACED"),
        (SHIPPED_ORDER, REMOVE, "SHIPPED", "PLACED"),
        (DELIVERED_ORDER, CHANGE, "DELIVERED", "PLACED"),
        (CANCELLED_ORDER, PAY, "CANCELLED", "PLACED"),
        (PLACED_ORDER, SHIP, "PLACED", "PAID"),
        (PAID_ORDER, DELIVER, "PAID", "SHIPPED"),
        (SHIPPED_ORDER, CANCEL, "SHIPPED", "PLACED,PAID"),
        (PAID_ORDER, REFUND, "PAID", "CANCELLED,DELIVERED"),
    ],
)
def test_a_wrong_state_is_named_with_the_states_that_would_do(
    past: Sequence[OrderEvent], command: OrderCommand, state: str, allowed_states: str
) -> None:
    given(*past).when(decide, command).then_refused(
        STATE, state=state, allowed_states=allowed_states
    )


@pytest.mark.parametrize("reason_code", CancelReason)
def test_a_cancelled_order_is_cancelled_again_whatever_the_reason(
    reason_code: CancelReason,
) -> None:
    given(*CANCELLED_ORDER).when(
        decide,
        CancelOrder(order_id=ORDER_ID, reason="another one", reason_code=reason_code),
    ).then_nothing()
