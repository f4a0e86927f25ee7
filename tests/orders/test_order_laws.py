"""What holds for every life of an order."""

from collections import Counter
from typing import get_args

from hypothesis import given, settings

from contexts.orders.domain.order import ORDER_DECIDER
from contexts.orders.domain.state import Order, Status, price
from contexts.orders.events import OrderEvent, PaymentReceived, PaymentRefunded
from contexts.orders.view import OrderView, evolve_view
from eventcore.decider import Refusal
from tests.orders.examples import ORDER_ID
from tests.orders.histories import Step, lives


@settings(deadline=None)
@given(lives())
def test_the_same_command_again_causes_nothing(life: list[Step]) -> None:
    for step in life:
        try:
            again = ORDER_DECIDER.decide(step.command, step.after)
        except Refusal:
            continue
        assert not again


@settings(deadline=None)
@given(lives())
def test_the_same_command_at_any_later_time_never_pays_or_pays_back_twice(
    life: list[Step],
) -> None:
    once = [step for step in life if step.events]
    for step in once:
        try:
            again = ORDER_DECIDER.decide(step.command, life[-1].after)
        except Refusal:
            continue
        assert not any(
            isinstance(event, PaymentReceived | PaymentRefunded) for event in again
        )


@settings(deadline=None)
@given(lives())
def test_the_sums_agree_and_money_never_comes_from_nothing(life: list[Step]) -> None:
    paid: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for step in life:
        for event in step.events:
            if isinstance(event, PaymentReceived):
                paid[event.payment_id] += event.amount.minor_units
            elif isinstance(event, PaymentRefunded):
                refunded[event.payment_id] += event.amount.minor_units
        order = step.after
        assert order.total == sum(map(price, order.lines.values()))
        assert order.total >= order.paid == paid.total()
        assert refunded <= paid
        for payment_id, amount in paid.items():
            payment = order.payments.get(payment_id)
            assert payment is not None
            assert (payment.amount, payment.refunded) == (amount, refunded[payment_id])


@settings(deadline=None)
@given(lives())
def test_an_order_has_a_line_and_is_paid_when_and_only_when_nothing_is_due(
    life: list[Step],
) -> None:
    for step in life:
        order = step.after
        if order.status is Status.ABSENT:
            continue
        assert order.lines
        if order.status is Status.PLACED:
            assert order.paid < order.total
        elif order.status is not Status.CANCELLED:
            assert order.paid == order.total


@settings(deadline=None)
@given(lives())
def test_deciding_and_folding_change_nothing_that_was(life: list[Step]) -> None:
    events = [event for step in life for event in step.events]
    order = ORDER_DECIDER.initial_state()
    for event in events:
        order = ORDER_DECIDER.evolve(order, event)
    assert order == life[-1].after
    for step in life:
        replayed = step.before
        for event in step.events:
            replayed = ORDER_DECIDER.evolve(replayed, event)
        assert replayed == step.after


def agree(order: Order, view: OrderView) -> bool:
    """Whether the state that decides and the view that clients see say the same."""
    payments = {payment.payment_id: payment for payment in view.payments}
    known = {payment_id: order.payments.get(payment_id) for payment_id in payments}
    travels = view.shipment and (view.shipment.carrier, view.shipment.tracking_number)
    sent = order.shipment and (order.shipment.carrier, order.shipment.tracking_number)
    return (
        order.status.value == view.state.value
        and order.currency_code == view.currency_code
        and tuple(order.lines.values()) == view.lines
        and order.money(order.total) == view.total
        and order.money(order.paid) == view.amount_paid
        and order.payment_count == len(view.payments)
        and sent == travels
        and all(
            payment is not None
            and order.money(payment.amount) == payments[payment_id].amount
            and order.money(payment.refunded) == payments[payment_id].refunded
            for payment_id, payment in known.items()
        )
    )


@settings(deadline=None)
@given(lives())
def test_what_decides_and_what_clients_see_say_the_same(life: list[Step]) -> None:
    view = None
    version = 0
    for step in life:
        for event in step.events:
            version += 1
            view = evolve_view(
                view, ORDER_ID, event, position=version, record_time=version
            )
        if view is not None:
            assert agree(step.after, view)
            assert view.version == version


def test_the_random_lives_reach_every_state_and_every_event() -> None:
    @settings(deadline=None, max_examples=300, database=None, derandomize=True)
    @given(lives())
    def look(life: list[Step]) -> None:
        states.update(step.after.status for step in life)
        events.update(type(event) for step in life for event in step.events)

    states: set[Status] = set()
    events: set[type[OrderEvent]] = set()
    look()
    assert states == set(Status)
    assert events == set(get_args(OrderEvent))
