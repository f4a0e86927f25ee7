"""The weight of an order is no less than the memory that it takes."""

import gc
import tracemalloc

import pytest

from contexts.orders.domain.order import LINES_MAX
from contexts.orders.domain.state import Order
from contexts.orders.events import (
    Money,
    OrderEvent,
    OrderLine,
    OrderPlaced,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.view import OrderView, fold_view
from contexts.orders.write.handlers import ORDER
from contexts.orders.write.snapshots import OrderSnapshots
from tests.orders.examples import ORDER_ID

REFERENCE = "{:0128}"
"""As long as one may be."""
MANY = 300

snapshots = OrderSnapshots()


def euros(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


def history(lines: int, payments: int, refunds: int) -> list[OrderEvent]:
    placed = OrderPlaced(
        customer_id=REFERENCE.format(0),
        currency_code="EUR",
        lines=tuple(
            OrderLine(
                product_id=REFERENCE.format(number),
                quantity=1000,
                unit_price=euros(10_000 + number),
            )
            for number in range(lines)
        ),
    )
    received = [
        PaymentReceived(payment_id=REFERENCE.format(number), amount=euros(1000))
        for number in range(payments)
    ]
    refunded = [
        PaymentRefunded(
            payment_id=REFERENCE.format(number),
            refund_id=REFERENCE.format(number),
            amount=euros(999),
        )
        for number in range(refunds)
    ]
    return [placed, *received, *refunded]


def folded(events: list[OrderEvent]) -> tuple[Order, OrderView]:
    order = ORDER.decider.initial_state()
    for event in events:
        order = ORDER.decider.evolve(order, event)
    numbered = enumerate(events, 1_000_000)
    view = fold_view(ORDER_ID, ((event, place, place) for place, event in numbered))
    assert view is not None
    return order, view


@pytest.mark.parametrize(
    ("lines", "payments", "refunds"),
    [(1, 0, 0), (LINES_MAX, 0, 0), (1, MANY, 0), (1, MANY, MANY)],
)
def test_an_order_takes_about_what_it_weighs_and_no_more(
    lines: int, payments: int, refunds: int
) -> None:
    # From a snapshot, so that what an order takes is its own and nothing of it is the test's.
    payload = snapshots.encode(*folded(history(lines, payments, refunds)))
    gc.collect()
    tracemalloc.start()
    try:
        order, view = snapshots.decode(payload)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= ORDER.weigh(order, view) <= 2 * taken
