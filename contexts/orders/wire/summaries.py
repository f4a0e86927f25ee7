"""Queries for what customers have ordered and what products have sold, and their answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, NamedTuple

from msgspec import Meta

from contexts.orders.events import Money
from contexts.orders.wire.commands import (
    CUSTOMER_ID_LENGTH_MAX,
    PRODUCT_ID_LENGTH_MAX,
)
from contexts.orders.wire.freshness import requirement
from contexts.orders.wire.pages import read_page_size, read_start
from contexts.orders.wire.values import money_to_proto, timestamp
from eventcore.fields import FieldFaults
from eventcore.freshness import Requirement
from eventcore.messages import Instant
from eventcore.page_tokens import PageStart, PageTokens
from orderes.v1 import query_service_pb2

SALES_PAGE_SIZE_DEFAULT = 100
SALES_PAGE_SIZE_MAX = 1000

AMOUNT_SHOWN_MAX = 2**63 - 1
"""The largest amount that a message holds: a larger sum is shown as that."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_Text = Annotated[str, Meta(max_length=PRODUCT_ID_LENGTH_MAX)]


class SalesSortKey(NamedTuple):
    """Where a product's day stands in the list."""

    day: _Text
    product_id: _Text
    currency_code: _Text


SALES_PAGE_TOKENS = PageTokens(SalesSortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCustomerSummary:
    """A customer's totals."""

    customer_id: str
    requirement: Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesFilter:
    """Which sales are listed. Page tokens are bound to it."""

    product_id: str = ""
    """Empty is any, here and below."""
    since_day: str = ""
    until_day: str = ""
    requirement: Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProductSales:
    """A page of what products sold on each day."""

    filter: SalesFilter
    page_size: int
    start: PageStart[SalesSortKey] | None = None
    """None is the first page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSummary:
    """What a customer has ordered, and paid."""

    customer_id: str
    order_count: int = 0
    cancelled_count: int = 0
    net_paid: Sequence[tuple[str, int]] = ()
    """Minor units by currency."""
    first_order_time: Instant = 0
    """0 for a customer without orders, here and below."""
    last_order_time: Instant = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySales:
    """What a product sold on a day, in one currency."""

    product_id: str
    day: str
    currency_code: str
    quantity: int
    revenue: int
    order_count: int


def get_customer_summary(
    request: query_service_pb2.GetCustomerSummaryRequest, faults: FieldFaults
) -> GetCustomerSummary:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    query = GetCustomerSummary(
        customer_id=faults.text(
            "customer_id", request.customer_id, max_length=CUSTOMER_ID_LENGTH_MAX
        ),
        requirement=requirement(request.consistency, faults),
    )
    faults.raise_if_any()
    return query


def list_product_sales(
    request: query_service_pb2.ListProductSalesRequest, faults: FieldFaults
) -> ListProductSales:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    sales_filter = SalesFilter(
        product_id=faults.text(
            "product_id",
            request.product_id,
            max_length=PRODUCT_ID_LENGTH_MAX,
            required=False,
        ),
        since_day=_day("since_day", request.since_day, faults),
        until_day=_day("until_day", request.until_day, faults),
        requirement=requirement(request.consistency, faults),
    )
    query = ListProductSales(
        filter=sales_filter,
        page_size=read_page_size(
            request.page_size,
            default=SALES_PAGE_SIZE_DEFAULT,
            maximum=SALES_PAGE_SIZE_MAX,
            faults=faults,
        ),
        start=read_start(SALES_PAGE_TOKENS, request.page_token, sales_filter, faults),
    )
    faults.raise_if_any()
    return query


def summary_to_proto(summary: CustomerSummary) -> query_service_pb2.CustomerSummary:
    """A customer's totals as clients see them."""
    message = query_service_pb2.CustomerSummary(
        customer_id=summary.customer_id,
        order_count=summary.order_count,
        cancelled_count=summary.cancelled_count,
        net_paid=[
            money_to_proto(_shown(currency_code, amount))
            for currency_code, amount in summary.net_paid
        ],
    )
    if summary.order_count:
        message.first_order_time.CopyFrom(timestamp(summary.first_order_time))
        message.last_order_time.CopyFrom(timestamp(summary.last_order_time))
    return message


def sales_to_proto(sales: DaySales) -> query_service_pb2.ProductSales:
    """What a product sold on a day, as clients see it."""
    return query_service_pb2.ProductSales(
        product_id=sales.product_id,
        day=sales.day,
        quantity=sales.quantity,
        revenue=money_to_proto(_shown(sales.currency_code, sales.revenue)),
        order_count=sales.order_count,
    )


def _shown(currency_code: str, amount: int) -> Money:
    return Money(currency_code=currency_code, minor_units=min(amount, AMOUNT_SHOWN_MAX))


def _day(field: str, value: str, faults: FieldFaults) -> str:
    if not value:
        return ""
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass  # As the 30th of February.
    faults.add(field, 'must be a day, like "2026-01-31"')
    return ""
