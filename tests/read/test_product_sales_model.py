"""`product_sales`: what each product sold on the day on which its order was fully paid."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.events import (
    Money,
    OrderCancelled,
    OrderLine,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
)
from contexts.orders.read.product_sales import PRODUCT_SALES, open_orders, sales
from contexts.orders.schemas import order_codec
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope, Instant
from tests.orders.examples import (
    CANCELLED,
    CANCELLED_ORDER,
    ORDER_ID,
    PAID,
    PAID_ORDER,
    PLACED,
    REFUNDED_ORDER,
    SHIPPED_ORDER,
    line,
)
from tests.read.logs import MIDNIGHT, logs
from tests.read.models import Model
from tests.support.envelopes import an_id
from tests.support.order_log import a_log

LARGEST = 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(instant: Instant) -> str:
    return (EPOCH + timedelta(microseconds=instant)).strftime("%Y-%m-%d")


def naive(log: list[EventEnvelope]) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """Pieces, money and orders by day, product and currency."""
    lines: dict[str, dict[str, OrderLine]] = {}
    sold: dict[tuple[str, str, str], tuple[int, int, int]] = {}
    for envelope in log:
        event, order = (
            order_codec.decode(envelope),
            lines.setdefault(envelope.stream.key, {}),
        )
        match event:
            case OrderPlaced():
                order.update({each.product_id: each for each in event.lines})
            case OrderLineAdded():
                order[event.line.product_id] = event.line
            case OrderLineRemoved():
                del order[event.product_id]
            case OrderLineQuantityChanged():
                before = order[event.product_id]
                order[event.product_id] = replace(before, quantity=event.new_quantity)
            case OrderPaid():
                for product_id, each in order.items():
                    price = each.unit_price
                    key = (
                        day_of(envelope.record_time),
                        product_id,
                        price.currency_code,
                    )
                    pieces, money, orders = sold.get(key, (0, 0, 0))
                    sold[key] = (
                        pieces + each.quantity,
                        money + each.quantity * price.minor_units,
                        orders + 1,
                    )
            case _:
                pass
    return sold


def naive_open(log: list[EventEnvelope]) -> set[str]:
    """The orders that are neither paid nor cancelled."""
    events = [(envelope.stream.key, order_codec.decode(envelope)) for envelope in log]
    closed = {
        order_id
        for order_id, event in events
        if isinstance(event, OrderPaid | OrderCancelled)
    }
    return {order_id for order_id, _ in events} - closed


def sold_in(model: Model) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    return {
        (row["day"], row["product_id"], row["currency_code"]): (
            row["quantity"],
            int(row["revenue"]),
            row["order_count"],
        )
        for row in model.rows(sales).values()
    }


def paid_at(instant: Instant, placed: OrderPlaced = PLACED) -> list[EventEnvelope]:
    """The log of an order that is paid then."""
    order_id = an_id()
    first, second = a_log([(order_id, placed), (order_id, PAID)])
    return [first, replace(second, record_time=instant)]


@settings(deadline=None, max_examples=25)
@given(logs())
def test_sales_are_the_lines_of_the_orders_that_were_paid(
    log: list[EventEnvelope],
) -> None:
    assert sold_in(Model(PRODUCT_SALES).apply(log)) == naive(log)


@settings(deadline=None, max_examples=25)
@given(logs())
def test_only_the_lines_of_open_orders_are_kept(log: list[EventEnvelope]) -> None:
    rows = Model(PRODUCT_SALES).apply(log).rows(open_orders)
    assert {order.hex() for (order,) in rows} == {
        order_id.replace("-", "") for order_id in naive_open(log)
    }


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (MIDNIGHT - 1, "2026-01-31"),
        (MIDNIGHT, "2026-02-01"),
        (MIDNIGHT + 86_400_000_000 - 1, "2026-02-01"),
        (MIDNIGHT + 86_400_000_000, "2026-02-02"),
        (1_709_251_199_999_999, "2024-02-29"),
        (0, "1970-01-01"),
        (-1, "1969-12-31"),
    ],
)
def test_a_day_begins_and_ends_at_midnight_utc(instant: Instant, day: str) -> None:
    rows = sold_in(Model(PRODUCT_SALES).apply(paid_at(instant)))
    assert {key[0] for key in rows} == {day}


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_every_time_that_can_be_has_its_day(instant: Instant) -> None:
    rows = sold_in(Model(PRODUCT_SALES).apply(paid_at(instant)))
    assert {day for day, _, _ in rows} == {
        (EPOCH + timedelta(microseconds=instant)).date().isoformat()
    }


def test_revenue_may_be_larger_than_any_amount() -> None:
    dear = OrderPlaced(
        customer_id="customer-1",
        currency_code="EUR",
        lines=(line("gold", 1, Money(currency_code="EUR", minor_units=LARGEST)),),
    )
    batches = [paid_at(MIDNIGHT, dear) for _ in range(3)]
    model = Model(PRODUCT_SALES).apply(*batches)
    assert sold_in(model) == {("2026-02-01", "gold", "EUR"): (3, 3 * LARGEST, 3)}


def test_each_currency_is_sold_for_itself() -> None:
    yen = OrderPlaced(
        customer_id="customer-1",
        currency_code="JPY",
        lines=(line("apples", 3, Money(currency_code="JPY", minor_units=80)),),
    )
    model = Model(PRODUCT_SALES).apply(paid_at(MIDNIGHT), paid_at(MIDNIGHT, yen))
    assert sold_in(model) == {
        ("2026-02-01", "apples", "EUR"): (2, 1000, 1),
        ("2026-02-01", "bread", "EUR"): (1, 999, 1),
        ("2026-02-01", "apples", "JPY"): (3, 240, 1),
    }


def test_what_happens_after_the_payment_does_not_lower_what_was_sold() -> None:
    paid = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    for more in (REFUNDED_ORDER[4:], (CANCELLED,)):
        whole = a_log([(ORDER_ID, event) for event in (*PAID_ORDER, *more)])
        expected = sold_in(Model(PRODUCT_SALES).apply(paid))
        assert sold_in(Model(PRODUCT_SALES).apply(whole)) == expected
        assert not Model(PRODUCT_SALES).apply(whole).rows(open_orders)


def test_an_order_that_is_cancelled_before_it_is_paid_has_sold_nothing() -> None:
    log = a_log([(ORDER_ID, event) for event in CANCELLED_ORDER])
    assert not any(Model(PRODUCT_SALES).apply(log).everything().values())


# What is left out of the log by an operator


def test_without_its_placing_an_order_cannot_be_paid() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    with pytest.raises(CorruptLog, match="position 4 and is not open"):
        Model(PRODUCT_SALES).apply(log[1:])


def test_without_its_placing_an_order_cannot_change() -> None:
    log = a_log([(ORDER_ID, PLACED), (ORDER_ID, OrderLineRemoved(product_id="bread"))])
    with pytest.raises(CorruptLog, match="position 2 and is not open"):
        Model(PRODUCT_SALES).apply(log[1:])


def test_without_its_placing_an_order_may_be_cancelled() -> None:
    log = a_log([(ORDER_ID, event) for event in CANCELLED_ORDER])
    assert not any(Model(PRODUCT_SALES).apply(log[1:]).everything().values())


def test_what_it_has_no_use_for_may_be_left_out() -> None:
    log = a_log([(ORDER_ID, event) for event in SHIPPED_ORDER])
    some = [log[0], log[3]]
    expected = Model(PRODUCT_SALES).apply(log).everything()
    assert Model(PRODUCT_SALES).apply(some).everything() == expected
