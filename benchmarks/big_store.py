"""Write stores of any size, filled without a server: orders as a shop has them.

Each order is placed with one to five lines, and most go on: lines are changed, they are paid,
shipped and delivered, some are cancelled and paid back. A thousand are open at a time, so that
neighbours in the log are of different orders, as they are in life.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from uuid_utils import uuid7

from contexts.orders.events import (
    ORDER_CATEGORY,
    CancelReason,
    Money,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLine,
    OrderLineAdded,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.schemas import order_codec
from eventcore.event_store import StreamAppend
from eventcore.messages import NewEvent, StreamId, Trace
from eventcore.process.clock import now
from eventcore.sql.sqlite import owner_engine
from eventcore.sql.write_store import SqlWriteStore

OPEN_ORDERS = 1_000
CUSTOMERS = 20_000
PRODUCTS = 1_000
EVENTS_PER_COMMIT = 2_000
SHARE_WITH_ANOTHER_LINE = 0.2
SHARE_CANCELLED = 0.1


def fill(
    path: Path, *, events: int, seed: int, say: Callable[[int], None]
) -> list[str]:
    """Makes a write store with so many events, or a few more.

    Args:
        path: Its file, which must not be there yet.
        events: How many.
        seed: The same seed gives the same orders, but for their ids.
        say: Told how many are stored, now and then.

    Returns:
        The ids of its orders, oldest first.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing here is secret.
    store = SqlWriteStore(owner_engine(path, durable=False), new_store_id=str(uuid7()))
    with closing(store):
        lives = [_life(chance) for _ in range(OPEN_ORDERS)]
        stored = 0
        orders: list[str] = []
        while stored < events:
            appends: list[StreamAppend] = []
            wanted = min(EVENTS_PER_COMMIT, events - stored)
            while wanted > 0:
                place = chance.randrange(len(lives))
                append = next(lives[place], None)
                if append is None:
                    lives[place] = _life(chance)
                    continue
                appends.append(append)
                if append.expected_version == 0:
                    orders.append(append.stream.key)
                wanted -= len(append.events)
            with store.begin() as unit:
                envelopes = unit.events.append(appends, now=now())
                unit.outbox.add([envelope.position for envelope in envelopes])
                unit.commit()
            stored += len(envelopes)
            say(stored)
    return orders


def _life(chance: random.Random) -> Iterator[StreamAppend]:
    """What happens to one order, a command after the other."""
    stream = StreamId(ORDER_CATEGORY, str(uuid7()))
    version = 0
    for events in _commands(chance):
        yield StreamAppend(
            stream=stream,
            expected_version=version,
            events=[_new_event(event) for event in events],
        )
        version += len(events)


def _commands(chance: random.Random) -> Iterator[tuple[OrderEvent, ...]]:
    lines = [_line(chance, n) for n in range(chance.randint(1, 5))]
    customer = f"customer-{int(CUSTOMERS * chance.random() ** 2)}"
    yield (OrderPlaced(customer_id=customer, currency_code="EUR", lines=tuple(lines)),)
    if chance.random() < SHARE_WITH_ANOTHER_LINE:
        lines.append(_line(chance, len(lines)))
        yield (OrderLineAdded(line=lines[-1]),)
    total = sum(line.quantity * line.unit_price.minor_units for line in lines)
    amount = Money(currency_code="EUR", minor_units=total)
    paid = (
        PaymentReceived(payment_id="p-1", amount=amount),
        OrderPaid(amount_paid=amount),
    )
    yield paid
    if chance.random() < SHARE_CANCELLED:
        yield (
            OrderCancelled(
                reason="changed my mind",
                reason_code=CancelReason.CUSTOMER_REQUEST,
                refund_due=amount,
            ),
        )
        yield (PaymentRefunded(payment_id="p-1", refund_id="r-1", amount=amount),)
        return
    yield (OrderShipped(carrier="dhl", tracking_number=f"JD{chance.randrange(10**9)}"),)
    yield (OrderDelivered(),)


def _line(chance: random.Random, number: int) -> OrderLine:
    return OrderLine(
        product_id=f"product-{number}-{int(PRODUCTS / 5 * chance.random() ** 2)}",
        quantity=chance.randint(1, 4),
        unit_price=Money(currency_code="EUR", minor_units=chance.randint(100, 20_000)),
    )


def _new_event(event: OrderEvent) -> NewEvent:
    event_type, schema_version, payload = order_codec.encode(event)
    return NewEvent(
        event_id=str(uuid7()),
        type=event_type,
        schema_version=schema_version,
        payload=payload,
        trace=Trace(correlation_id=str(uuid7()), causation_id=str(uuid7())),
    )
