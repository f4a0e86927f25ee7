"""An order in a snapshot is the order itself."""

from functools import reduce
from time import perf_counter

from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.domain.order import (
    LINES_MAX,
    ORDER_DECIDER,
    PAYMENTS_MAX,
    REFUNDS_MAX,
)
from contexts.orders.domain.state import Order
from contexts.orders.events import (
    CancelReason,
    OrderCancelled,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPlaced,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.view import OrderView, evolve_view, fold_view
from contexts.orders.write.handlers import ORDER
from contexts.orders.write.snapshots import SNAPSHOT_SCHEMA_VERSION, OrderSnapshots
from eventcore.decider import Refusal
from tests.orders.examples import (
    CANCELLED_ORDER,
    ORDER_ID,
    PLACED,
    REFUND,
    REFUNDED_ORDER,
    euro,
    line,
)
from tests.orders.histories import INTENTS, Intent, Step, lives
from tests.support.fixtures import GOLDEN_SNAPSHOTS

DECODING_SECONDS_MAX = 0.05
"""It takes about 2 ms. So much, three times in a row, is not the machine that is busy."""

snapshots = OrderSnapshots()


def folded(events: tuple[OrderEvent, ...]) -> tuple[Order, OrderView]:
    """The order after its events, at the positions and times 1, 2, …"""
    view = fold_view(
        ORDER_ID, ((event, number, number) for number, event in enumerate(events, 1))
    )
    assert view is not None
    return reduce(ORDER_DECIDER.evolve, events, ORDER_DECIDER.initial_state()), view


def decided(command: OrderCommand, order: Order) -> list[OrderEvent] | str:
    try:
        return list(ORDER_DECIDER.decide(command, order))
    except Refusal as refusal:
        return f"{refusal.reason} {refusal.rule} {dict(refusal.facts)}"


@settings(deadline=None)
@given(lives(), st.lists(INTENTS, max_size=10))
def test_an_order_from_a_snapshot_goes_on_as_if_it_had_never_been_in_one(
    life: list[Step], intents: list[Intent]
) -> None:
    events = tuple(event for step in life for event in step.events)
    if not events:
        return
    kept_state, kept_view = folded(events)
    state, view = snapshots.decode(snapshots.encode(kept_state, kept_view))
    assert (state, view) == (kept_state, kept_view)
    for number, intent in enumerate(intents, len(events) + 1):
        command = intent(kept_state)
        outcome = decided(command, kept_state)
        assert decided(command, state) == outcome
        if isinstance(outcome, str):
            continue
        for event in outcome:
            state = ORDER_DECIDER.evolve(state, event)
            kept_state = ORDER_DECIDER.evolve(kept_state, event)
            view = evolve_view(
                view, ORDER_ID, event, position=number, record_time=number
            )
            kept_view = evolve_view(
                kept_view, ORDER_ID, event, position=number, record_time=number
            )
        assert (state, view) == (kept_state, kept_view)


LARGEST: tuple[OrderEvent, ...] = (
    OrderPlaced(
        customer_id="customer-1",
        currency_code="EUR",
        lines=tuple(line(f"product-{n}", 5, euro(10)) for n in range(LINES_MAX)),
    ),
    *(
        PaymentReceived(payment_id=f"payment-{n}", amount=euro(10))
        for n in range(PAYMENTS_MAX)
    ),
    OrderCancelled(
        reason="x" * 500, reason_code=CancelReason.FRAUD, refund_due=euro(10_000)
    ),
    *(
        PaymentRefunded(
            payment_id=f"payment-{n}", refund_id=f"refund-{n}", amount=euro(9)
        )
        for n in range(REFUNDS_MAX)
    ),
)


def test_the_largest_order_is_soon_there() -> None:
    kept = folded(LARGEST)
    payload = snapshots.encode(*kept)
    seconds = []
    for _ in range(3):
        began = perf_counter()
        decoded = snapshots.decode(payload)
        seconds.append(perf_counter() - began)
        assert decoded == kept
    assert min(seconds) < DECODING_SECONDS_MAX


LINES_CHANGED: tuple[OrderEvent, ...] = (
    OrderLineAdded(line=line("cheese", 1, euro(300))),
    OrderLineRemoved(product_id="bread"),
    OrderLineQuantityChanged(product_id="apples", old_quantity=2, new_quantity=3),
)


def golden(name: str, *events: OrderEvent) -> None:
    """Asserts that the snapshot is what stands in the file of the current version."""
    file = GOLDEN_SNAPSHOTS / f"{name}.v{SNAPSHOT_SCHEMA_VERSION}.json"
    stored = file.read_bytes().removesuffix(b"\n")
    kept = folded(events)
    assert snapshots.encode(*kept) == stored
    assert snapshots.decode(stored) == kept


def test_a_snapshot_does_not_change_without_a_new_version() -> None:
    golden("delivered_order", *REFUNDED_ORDER)
    golden("cancelled_order", PLACED, *LINES_CHANGED, *CANCELLED_ORDER[1:], REFUND)


def test_there_are_only_snapshots_of_the_current_version() -> None:
    """Those of another version are never read, so there is nothing to keep of them."""
    assert {file.suffixes[0] for file in GOLDEN_SNAPSHOTS.iterdir()} == {
        f".v{SNAPSHOT_SCHEMA_VERSION}"
    }


def test_orders_are_kept_in_snapshots() -> None:
    assert isinstance(ORDER.snapshots, OrderSnapshots)
    assert ORDER.snapshots.schema_version == SNAPSHOT_SCHEMA_VERSION
