"""Random lives of an order: commands that mostly make sense, and now and then do not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from hypothesis import strategies as st

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
from contexts.orders.domain.order import ORDER_DECIDER
from contexts.orders.domain.state import Order
from contexts.orders.events import CancelReason, Money, OrderEvent, OrderLine
from contexts.orders.view import OrderView, fold_view
from eventcore.decider import Refusal
from eventcore.messages import Instant
from tests.orders.examples import ORDER_ID

Intent: TypeAlias = Callable[[Order], OrderCommand]
"""A command, as far as it can be said without the order: to pay the rest, say."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what it met and what came of it."""

    before: Order
    command: OrderCommand
    events: tuple[OrderEvent, ...]
    after: Order


PRODUCTS = st.sampled_from(["apples", "bread", "cheese", "dates"])
PAYMENTS = st.sampled_from(["payment-1", "payment-2", "payment-3"])
REFUNDS = st.sampled_from(["refund-1", "refund-2", "refund-3"])
CURRENCIES = st.sampled_from(["EUR"] * 9 + ["USD"])
CENT = Money(currency_code="EUR", minor_units=1)
MONEY = st.builds(Money, currency_code=CURRENCIES, minor_units=st.integers(1, 9))
LINES = st.builds(
    OrderLine, product_id=PRODUCTS, quantity=st.integers(1, 3), unit_price=MONEY
)


def _place(lines: list[OrderLine]) -> Intent:
    return lambda _: PlaceOrder(
        order_id=ORDER_ID, customer_id="customer-1", lines=tuple(lines)
    )


def _add(line: OrderLine) -> Intent:
    return lambda _: AddOrderLine(order_id=ORDER_ID, line=line)


def _remove(product_id: str) -> Intent:
    return lambda _: RemoveOrderLine(order_id=ORDER_ID, product_id=product_id)


def _change(product_id: str, quantity: int) -> Intent:
    return lambda _: ChangeOrderLineQuantity(
        order_id=ORDER_ID, product_id=product_id, quantity=quantity
    )


def _pay(payment_id: str, currency_code: str, less: int) -> Intent:
    return lambda order: RecordPayment(
        order_id=ORDER_ID,
        payment_id=payment_id,
        amount=Money(
            currency_code=currency_code,
            minor_units=max(1, order.total - order.paid - less),
        ),
    )


def _ship(tracking_number: str) -> Intent:
    return lambda _: ShipOrder(
        order_id=ORDER_ID, carrier="post", tracking_number=tracking_number
    )


def _deliver() -> Intent:
    return lambda _: DeliverOrder(order_id=ORDER_ID)


def _cancel(reason_code: CancelReason) -> Intent:
    return lambda _: CancelOrder(
        order_id=ORDER_ID, reason="changed my mind", reason_code=reason_code
    )


def _refund(payment_id: str, refund_id: str, amount: Money) -> Intent:
    return lambda _: RefundPayment(
        order_id=ORDER_ID, payment_id=payment_id, refund_id=refund_id, amount=amount
    )


PLACING = st.builds(
    _place,
    st.lists(
        st.builds(
            OrderLine,
            product_id=PRODUCTS,
            quantity=st.integers(1, 3),
            unit_price=st.builds(
                Money, currency_code=st.just("EUR"), minor_units=st.integers(1, 9)
            ),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda line: line.product_id,
    ),
)

INTENTS = st.one_of(
    PLACING,
    st.builds(_add, LINES),
    st.builds(_remove, PRODUCTS),
    st.builds(_change, PRODUCTS, st.integers(1, 3)),
    st.builds(_pay, PAYMENTS, CURRENCIES, st.integers(-1, 5)),
    st.builds(_pay, PAYMENTS, st.just("EUR"), st.just(0)),
    st.builds(_ship, st.sampled_from(["T-1", "T-2"])),
    st.builds(_deliver),
    st.builds(_cancel, st.sampled_from(CancelReason)),
    st.builds(_refund, PAYMENTS, REFUNDS, MONEY),
    st.builds(_refund, PAYMENTS, REFUNDS, st.just(CENT)),
)

LATE_INTENTS = st.one_of(
    st.builds(_pay, PAYMENTS, st.just("EUR"), st.integers(0, 5)),
    st.builds(_ship, st.just("T-1")),
    st.builds(_deliver),
    st.builds(_refund, PAYMENTS, REFUNDS, st.just(CENT)),
)


def take(intent: Intent, order: Order) -> Step:
    command = intent(order)
    try:
        events = tuple(ORDER_DECIDER.decide(command, order))
    except Refusal:
        events = ()
    after = reduce(ORDER_DECIDER.evolve, events, order)
    return Step(before=order, command=command, events=events, after=after)


@st.composite
def lives(draw: st.DrawFn) -> list[Step]:
    """The steps of a life; most begin with the placing."""
    intents = [
        draw(PLACING),
        *draw(st.lists(INTENTS, max_size=15)),
        *draw(st.lists(LATE_INTENTS, max_size=15)),
    ]
    if draw(st.integers(0, 9)) == 0:
        intents.reverse()
    order = ORDER_DECIDER.initial_state()
    steps = []
    for intent in intents:
        steps.append(take(intent, order))
        order = steps[-1].after
    return steps


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[OrderEvent, int, Instant]]:
    """The events of a life, each with a position and a time, neither of which falls."""
    position = draw(st.integers(0, 2**40))
    record_time = draw(st.integers(0, 2**52))
    history = []
    for event in [event for step in draw(lives()) for event in step.events]:
        position += draw(st.integers(1, 3))
        record_time += draw(st.integers(0, 10**9))
        history.append((event, position, record_time))
    return history


@st.composite
def views(draw: st.DrawFn) -> OrderView:
    """An order as clients may see it at any moment of its life."""
    view = fold_view(ORDER_ID, draw(histories().filter(bool)))
    assert view is not None
    return view
