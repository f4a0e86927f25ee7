"""The read model `customer_summary`: what each customer has ordered, and paid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

from contexts.orders.events import (
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.read.columns import BIGINT, decoded, order_key
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope, Instant
from eventcore.model_tables import ReadModelTables, Row
from eventcore.projection import Projection

_metadata = MetaData()

customers = Table(
    "customer_summary",
    _metadata,
    Column("customer_id", Text, primary_key=True),
    Column("order_count", BIGINT, nullable=False),
    Column("cancelled_count", BIGINT, nullable=False),
    Column("first_order_time", BIGINT, nullable=False),
    Column("last_order_time", BIGINT, nullable=False),
)

payments = Table(
    "customer_payments",
    _metadata,
    Column("customer_id", Text, primary_key=True),
    Column("currency_code", Text, primary_key=True),
    # Digits: an amount of an order fills 64 bits, a sum of them may need more.
    Column("net_paid", Text, nullable=False),
)

order_customers = Table(
    "customer_summary_orders",
    _metadata,
    # Only the first event of an order says whose it is.
    Column("order_id", LargeBinary(16), primary_key=True),
    Column("customer_id", Text, nullable=False),
)


@dataclass(slots=True)
class _Summary:
    """A customer, while a batch is folded."""

    order_count: int = 0
    cancelled_count: int = 0
    first_order_time: Instant = 0
    last_order_time: Instant = 0
    net_paid: dict[str, int] = field(default_factory=dict)
    """By currency; only those that the batch changes."""

    def placed(self, time: Instant) -> None:
        self.first_order_time = self.first_order_time if self.order_count else time
        self.last_order_time = time
        self.order_count += 1


def apply(events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
    """Reads the customers of the batch, folds it in memory, and writes what came of it."""
    changes = [
        (envelope, event)
        for envelope, event in decoded(events)
        if isinstance(
            event, OrderPlaced | OrderCancelled | PaymentReceived | PaymentRefunded
        )
    ]
    owners = _owners(changes, tables)
    summaries = _load(owners, changes, tables)
    for envelope, event in changes:
        summary = summaries[owners[order_key(envelope.stream.key)]]
        match event:
            case OrderPlaced():
                summary.placed(envelope.record_time)
            case OrderCancelled():
                summary.cancelled_count += 1
            case PaymentReceived(amount=amount):
                summary.net_paid[amount.currency_code] += amount.minor_units
            case PaymentRefunded(amount=amount):
                summary.net_paid[amount.currency_code] -= amount.minor_units
    tables.write(customers, [_as_row(name, each) for name, each in summaries.items()])
    tables.write(
        payments,
        [
            {"customer_id": name, "currency_code": currency, "net_paid": str(amount)}
            for name, summary in summaries.items()
            for currency, amount in summary.net_paid.items()
        ],
    )


CUSTOMER_SUMMARY = Projection(
    name="customer_summary",
    version=1,
    tables=(customers, payments, order_customers),
    apply=apply,
)


def _owners(
    changes: Sequence[tuple[EventEnvelope, OrderEvent]], tables: ReadModelTables
) -> dict[bytes, str]:
    """Whose each order of the batch is; those of its new orders are written down."""
    owners = {
        order_key(envelope.stream.key): event.customer_id
        for envelope, event in changes
        if isinstance(event, OrderPlaced)
    }
    tables.write(
        order_customers,
        [{"order_id": order, "customer_id": name} for order, name in owners.items()],
    )
    others: dict[bytes, EventEnvelope] = {}
    for envelope, _ in changes:
        if order_key(envelope.stream.key) not in owners:
            others.setdefault(order_key(envelope.stream.key), envelope)
    found = tables.fetch(order_customers, [(order,) for order in others])
    for order, envelope in others.items():
        row = found.get((order,))
        if row is None:
            raise CorruptLog(
                f"order {envelope.stream.key} has an event at position {envelope.position} "
                "and was not placed"
            )
        owners[order] = row["customer_id"]
    return owners


def _load(
    owners: dict[bytes, str],
    changes: Iterable[tuple[EventEnvelope, OrderEvent]],
    tables: ReadModelTables,
) -> dict[str, _Summary]:
    names = set(owners.values())
    found = tables.fetch(customers, [(name,) for name in names])
    summaries = {name: _Summary() for name in sorted(names)}
    for row in found.values():
        summaries[row["customer_id"]] = _Summary(
            order_count=row["order_count"],
            cancelled_count=row["cancelled_count"],
            first_order_time=row["first_order_time"],
            last_order_time=row["last_order_time"],
        )
    accounts = {
        (owners[order_key(envelope.stream.key)], event.amount.currency_code)
        for envelope, event in changes
        if isinstance(event, PaymentReceived | PaymentRefunded)
    }
    balances = tables.fetch(payments, accounts)
    for name, currency in sorted(accounts):
        balance = balances.get((name, currency))
        paid = 0 if balance is None else int(balance["net_paid"])
        summaries[name].net_paid[currency] = paid
    return summaries


def _as_row(customer_id: str, summary: _Summary) -> Row:
    return {
        "customer_id": customer_id,
        "order_count": summary.order_count,
        "cancelled_count": summary.cancelled_count,
        "first_order_time": summary.first_order_time,
        "last_order_time": summary.last_order_time,
    }
