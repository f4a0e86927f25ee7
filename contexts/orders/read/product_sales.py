"""The read model `product_sales`: what each product sold on each day.

A product is sold when its order is fully paid. Until then the lines of the order are kept beside
it; what happens to the order afterwards does not lower what was sold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import Column, Index, LargeBinary, MetaData, Table, Text

from contexts.orders.events import (
    OrderCancelled,
    OrderLine,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
)
from contexts.orders.read.columns import BIGINT, decoded, order_key
from contexts.orders.view import changed_lines
from eventcore.errors import CorruptLog
from eventcore.messages import EventEnvelope, Instant
from eventcore.model_tables import ReadModelTables
from eventcore.projection import Projection

_MICROS_IN_SECOND = 1_000_000

_metadata = MetaData()

sales = Table(
    "product_sales",
    _metadata,
    # "2026-01-31": in this order the days lie in their order.
    Column("day", Text, primary_key=True),
    Column("product_id", Text, primary_key=True),
    Column("currency_code", Text, primary_key=True),
    Column("quantity", BIGINT, nullable=False),
    # Digits: the total of an order fills 64 bits, a sum of them may need more.
    Column("revenue", Text, nullable=False),
    Column("order_count", BIGINT, nullable=False),
    Index("product_sales_by_product", "product_id", "day", "currency_code"),
)

open_orders = Table(
    "product_sales_open_orders",
    _metadata,
    Column("order_id", LargeBinary(16), primary_key=True),
    # JSON. Only of orders that are neither paid nor cancelled, which are few beside all others.
    Column("lines", Text, nullable=False),
)

_Key: TypeAlias = tuple[str, str, str]
"""Day, product and currency."""

_lines_encoder = msgspec.json.Encoder()
_lines_decoder = msgspec.json.Decoder(tuple[OrderLine, ...])


@dataclass(slots=True)
class _Sold:
    """What a product sold on a day, while a batch is folded."""

    quantity: int = 0
    revenue: int = 0
    order_count: int = 0


def apply(events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
    """Reads the open orders of the batch, folds it in memory, and writes what came of it."""
    changes = list(decoded(events))
    lines = _load({order_key(envelope.stream.key) for envelope, _ in changes}, tables)
    before = set(lines)
    sold: dict[_Key, _Sold] = {}
    changed: set[bytes] = set()
    for envelope, event in changes:
        order = order_key(envelope.stream.key)
        match event:
            case OrderPlaced():
                lines[order] = event.lines
            case OrderLineAdded() | OrderLineRemoved() | OrderLineQuantityChanged():
                lines[order] = changed_lines(_lines_of(order, lines, envelope), event)
            case OrderPaid():
                paid = _lines_of(order, lines, envelope)
                _sell(paid, _day(envelope.record_time), sold)
                del lines[order]
            case OrderCancelled():
                lines.pop(order, None)
            case _:
                continue
        changed.add(order)
    _write_open_orders(changed, before, lines, tables)
    _write_sales(sold, tables)


PRODUCT_SALES = Projection(
    name="product_sales", version=1, tables=(sales, open_orders), apply=apply
)


def _load(
    orders: Iterable[bytes], tables: ReadModelTables
) -> dict[bytes, tuple[OrderLine, ...]]:
    found = tables.fetch(open_orders, [(order,) for order in orders])
    return {
        row["order_id"]: _lines_decoder.decode(row["lines"]) for row in found.values()
    }


def _lines_of(
    order: bytes, lines: dict[bytes, tuple[OrderLine, ...]], envelope: EventEnvelope
) -> tuple[OrderLine, ...]:
    found = lines.get(order)
    if found is None:
        raise CorruptLog(
            f"order {envelope.stream.key} has an event at position {envelope.position} and is "
            "not open: it was not placed, or is paid or cancelled"
        )
    return found


def _sell(lines: Iterable[OrderLine], day: str, sold: dict[_Key, _Sold]) -> None:
    for line in lines:
        key = (day, line.product_id, line.unit_price.currency_code)
        of_day = sold.setdefault(key, _Sold())
        of_day.quantity += line.quantity
        of_day.revenue += line.quantity * line.unit_price.minor_units
        of_day.order_count += 1


def _day(time: Instant) -> str:
    return datetime.fromtimestamp(time // _MICROS_IN_SECOND, UTC).date().isoformat()


def _write_open_orders(
    changed: set[bytes],
    before: set[bytes],
    lines: dict[bytes, tuple[OrderLine, ...]],
    tables: ReadModelTables,
) -> None:
    tables.write(
        open_orders,
        [
            {"order_id": order, "lines": _lines_encoder.encode(lines[order]).decode()}
            for order in sorted(changed & lines.keys())
        ],
    )
    closed = (changed & before) - lines.keys()
    tables.delete(open_orders, [(order,) for order in sorted(closed)])


def _write_sales(sold: dict[_Key, _Sold], tables: ReadModelTables) -> None:
    for key, row in tables.fetch(sales, sold).items():
        of_day = sold[key]
        of_day.quantity += row["quantity"]
        of_day.revenue += int(row["revenue"])
        of_day.order_count += row["order_count"]
    tables.write(
        sales,
        [
            {
                "day": day,
                "product_id": product_id,
                "currency_code": currency_code,
                "quantity": of_day.quantity,
                "revenue": str(of_day.revenue),
                "order_count": of_day.order_count,
            }
            for (day, product_id, currency_code), of_day in sold.items()
        ],
    )
