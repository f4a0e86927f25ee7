"""Random logs: the lives of some orders, of several customers, in several currencies, in turns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from contexts.orders.events import Money, OrderEvent, OrderPlaced
from eventcore.log import place
from eventcore.messages import EventEnvelope, Instant
from tests.orders.histories import lives
from tests.support.envelopes import an_id
from tests.support.order_log import an_order_append

ORDER_IDS = [an_id() for _ in range(5)]
CUSTOMERS = ("customer-1", "customer-2")
CURRENCIES = ("EUR", "JPY")
LARGE = 5 * 10**16
"""Makes of an amount of the lives one that still fits into 64 bits, where the sum of a few does
not."""
MIDNIGHT: Instant = 1_769_904_000_000_000
"""2026-02-01T00:00:00Z."""
MICROSECOND, HOUR = 1, 3_600_000_000


def dressed(event: OrderEvent, *, customer_id: str, currency: str, factor: int) -> Any:
    """The event of a life as one of another customer, in another currency, of larger amounts."""
    event = _priced(event, currency, factor)
    if isinstance(event, OrderPlaced):
        return replace(event, customer_id=customer_id, currency_code=currency)
    return event


def _priced(value: Any, currency: str, factor: int) -> Any:
    if isinstance(value, Money):
        return Money(currency_code=currency, minor_units=value.minor_units * factor)
    if isinstance(value, tuple):
        return tuple(_priced(item, currency, factor) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _priced(getattr(value, field.name), currency, factor)
            for field in fields(value)
        }
        return replace(value, **changed)
    return value


@st.composite
def order_lives(draw: st.DrawFn, orders_max: int = 4) -> dict[str, list[OrderEvent]]:
    """The events of some orders, each a life."""
    found: dict[str, list[OrderEvent]] = {}
    for order_id in ORDER_IDS[: draw(st.integers(1, orders_max))]:
        customer_id = draw(st.sampled_from(CUSTOMERS))
        currency = draw(st.sampled_from(CURRENCIES))
        factor = draw(st.sampled_from([1, LARGE]))
        found[order_id] = [
            dressed(event, customer_id=customer_id, currency=currency, factor=factor)
            for step in draw(lives())
            for event in step.events
        ]
    return found


@st.composite
def appends(draw: st.DrawFn, orders_max: int = 4) -> list[tuple[str, OrderEvent]]:
    """Orders and their events, in turns."""
    histories = draw(order_lives(orders_max))
    turns = [order_id for order_id, events in histories.items() for _ in events]
    return [
        (order_id, histories[order_id].pop(0))
        for order_id in draw(st.permutations(turns))
    ]


@st.composite
def logs(draw: st.DrawFn, orders_max: int = 4) -> list[EventEnvelope]:
    """Such a log, around midnight: its times never fall, and some are the same."""
    time = MIDNIGHT - draw(st.sampled_from([MICROSECOND, HOUR, 30 * HOUR]))
    steps = st.sampled_from([0, MICROSECOND, HOUR, 25 * HOUR])
    log: list[EventEnvelope] = []
    versions: Counter[str] = Counter()
    for order_id, event in draw(appends(orders_max)):
        append = an_order_append(order_id, event, expected_version=versions[order_id])
        log.extend(place([append], after=len(log), record_time=time))
        versions[order_id] += 1
        time += draw(steps)
    return log


@st.composite
def cuts(draw: st.DrawFn, log: Sequence[EventEnvelope]) -> list[list[EventEnvelope]]:
    """The log, cut somewhere; some batches may be empty."""
    places = sorted([*draw(st.lists(st.integers(0, len(log)))), 0, len(log)])
    return [list(log[start:end]) for start, end in pairwise(places)]
