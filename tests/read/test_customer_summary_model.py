"""`customer_summary`: what each customer has ordered, and paid."""

from collections import Counter

import pytest
from hypothesis import given, settings

from contexts.orders.events import (
    Money,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.read.customer_summary import (
    CUSTOMER_SUMMARY,
    customers,
    payments,
)
from contexts.orders.schemas import order_codec
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope
from tests.orders.examples import (
    CANCELLED_ORDER,
    FIRST_PAYMENT,
    ORDER_ID,
    PAID_ORDER,
    PLACED,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
)
from tests.read.logs import dressed, logs
from tests.read.models import Model
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND, START, a_log

LARGEST = 2**63 - 1


def of(customer_id: str, currency: str, *events: OrderEvent) -> list[OrderEvent]:
    """The events as those of another customer, in another currency."""
    return [
        dressed(event, customer_id=customer_id, currency=currency, factor=1)
        for event in events
    ]


def naive(
    log: list[EventEnvelope],
) -> tuple[dict[str, list[int]], Counter[tuple[str, str]]]:
    """For each customer how many orders, how many cancelled, the first, the last; and the money."""
    totals: dict[str, list[int]] = {}
    paid: Counter[tuple[str, str]] = Counter()
    owner: dict[str, str] = {}
    for envelope in log:
        event, order_id = order_codec.decode(envelope), envelope.stream.key
        match event:
            case OrderPlaced(customer_id=customer):
                owner[order_id] = customer
                total = totals.setdefault(customer, [0, 0, envelope.record_time, 0])
                total[0] += 1
                total[3] = envelope.record_time
            case OrderCancelled():
                totals[owner[order_id]][1] += 1
            case PaymentReceived(amount=amount):
                paid[owner[order_id], amount.currency_code] += amount.minor_units
            case PaymentRefunded(amount=amount):
                paid[owner[order_id], amount.currency_code] -= amount.minor_units
            case _:
                pass
    return totals, paid


def totals_of(model: Model) -> dict[str, list[int]]:
    return {
        row["customer_id"]: [
            row["order_count"],
            row["cancelled_count"],
            row["first_order_time"],
            row["last_order_time"],
        ]
        for row in model.rows(customers).values()
    }


def paid_of(model: Model) -> dict[tuple[str, str], int]:
    return {
        (row["customer_id"], row["currency_code"]): int(row["net_paid"])
        for row in model.rows(payments).values()
    }


@settings(deadline=None, max_examples=25)
@given(logs())
def test_totals_are_the_sum_of_the_events(log: list[EventEnvelope]) -> None:
    model = Model(CUSTOMER_SUMMARY).apply(log)
    totals, paid = naive(log)
    assert totals_of(model) == totals
    assert paid_of(model) == dict(paid)


def test_a_sum_may_be_larger_than_any_amount() -> None:
    """Also in steps, each of which reads what the one before has written."""
    paid = PaymentReceived(
        payment_id="payment-1", amount=Money(currency_code="EUR", minor_units=LARGEST)
    )
    log = a_log(
        [(order, e) for order in (an_id(), an_id(), an_id()) for e in (PLACED, paid)]
    )
    model = Model(CUSTOMER_SUMMARY).apply(*([event] for event in log))
    assert paid_of(model) == {("customer-1", "EUR"): 3 * LARGEST}


def test_each_currency_has_a_sum_of_its_own() -> None:
    log = a_log(
        [
            (order_id, event)
            for order_id, currency in (
                (an_id(), "EUR"),
                (an_id(), "JPY"),
                (an_id(), "EUR"),
            )
            for event in of("me", currency, PLACED, FIRST_PAYMENT)
        ]
    )
    model = Model(CUSTOMER_SUMMARY).apply(log[:3], log[3:])
    assert paid_of(model) == {("me", "EUR"): 2000, ("me", "JPY"): 1000}


def test_what_is_paid_back_is_no_longer_paid() -> None:
    log = a_log([(ORDER_ID, event) for event in REFUNDED_ORDER])
    assert paid_of(Model(CUSTOMER_SUMMARY).apply(log)) == {("customer-1", "EUR"): 1599}


def test_the_first_and_the_last_order_are_those_that_were_placed_so() -> None:
    first, second = an_id(), an_id()
    log = a_log([(first, PLACED), (second, PLACED), (first, FIRST_PAYMENT)])
    model = Model(CUSTOMER_SUMMARY).apply(log[:1], log[1:])
    assert totals_of(model) == {"customer-1": [2, 0, START, START + SECOND]}


# What is left out of the log by an operator


@pytest.mark.parametrize("events", [PAID_ORDER, CANCELLED_ORDER])
def test_without_its_placing_an_order_is_nobodys_and_cannot_go_on(
    events: tuple[OrderEvent, ...],
) -> None:
    log = a_log([(ORDER_ID, event) for event in events])
    with pytest.raises(CorruptLog, match="position 2 and was not placed"):
        Model(CUSTOMER_SUMMARY).apply(log[1:])


def test_what_it_has_no_use_for_may_be_left_out() -> None:
    log = a_log([(ORDER_ID, event) for event in SHIPPED_ORDER])
    model = Model(CUSTOMER_SUMMARY).apply(log[:3])
    assert model.everything() == Model(CUSTOMER_SUMMARY).apply(log).everything()


def test_without_a_payment_its_refund_is_owed() -> None:
    log = a_log([(ORDER_ID, event) for event in REFUNDED_ORDER])
    model = Model(CUSTOMER_SUMMARY).apply([log[0], *log[3:]])
    assert paid_of(model) == {("customer-1", "EUR"): -400}
