"""What the read models answer of customers and of products."""

from typing import Any

from sqlalchemy import Select, Table, select, tuple_

from contexts.orders.read.customer_summary import (
    CUSTOMER_SUMMARY,
    customers,
    payments,
)
from contexts.orders.read.moments import Known, Moments
from contexts.orders.read.pages import Page, next_start, of_page
from contexts.orders.read.product_sales import PRODUCT_SALES, sales
from contexts.orders.wire.summaries import (
    CustomerSummary,
    DaySales,
    GetCustomerSummary,
    ListProductSales,
    SalesSortKey,
)


class SummaryQueries:
    """Answers queries from the read models, as fresh as they demand."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    async def get_customer_summary(
        self, query: GetCustomerSummary, *, time_remaining_seconds: float | None
    ) -> tuple[CustomerSummary, Known]:
        """A customer's totals; zero for one without orders.

        Raises:
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        name = query.customer_id
        await self._moments.reach(
            query.requirement, CUSTOMER_SUMMARY, time_remaining_seconds
        )
        async with self._moments.open(CUSTOMER_SUMMARY, query.requirement) as moment:
            found = await moment.fetch(of_customer(moment.table(customers), name))
            paid = await moment.fetch(of_customer(moment.table(payments), name))
        if not found:
            return CustomerSummary(customer_id=name), moment.known
        (row,) = found
        summary = CustomerSummary(
            customer_id=name,
            order_count=row.order_count,
            cancelled_count=row.cancelled_count,
            net_paid=sorted((each.currency_code, int(each.net_paid)) for each in paid),
            first_order_time=row.first_order_time,
            last_order_time=row.last_order_time,
        )
        return summary, moment.known

    async def list_product_sales(
        self, query: ListProductSales, *, time_remaining_seconds: float | None
    ) -> Page[DaySales, SalesSortKey]:
        """A page of what products sold, by day, then product, then currency.

        Raises:
            ProjectionLagging, StoreMismatch, StoreUnavailable: see `Freshness`.
        """
        requirement = of_page(query.filter.requirement, query.start)
        await self._moments.reach(requirement, PRODUCT_SALES, time_remaining_seconds)
        async with self._moments.open(PRODUCT_SALES, requirement) as moment:
            found = await moment.fetch(sales_page(query, moment.table(sales)))
        rows = [
            DaySales(
                product_id=row.product_id,
                day=row.day,
                currency_code=row.currency_code,
                quantity=row.quantity,
                revenue=int(row.revenue),
                order_count=row.order_count,
            )
            for row in found[: query.page_size]
        ]
        return Page(
            rows=rows,
            known=moment.known,
            next_start=next_start(
                [SalesSortKey(r.day, r.product_id, r.currency_code) for r in rows],
                query.start,
                moment.known,
                is_last=len(rows) == len(found),
            ),
        )


def of_customer(table: Table, customer_id: str) -> Select[Any]:
    """What a table knows of a customer."""
    return select(table).where(table.c.customer_id == customer_id)


def sales_page(query: ListProductSales, sales: Table) -> Select[Any]:
    """A page of sales, and one row beyond it."""
    keys = (sales.c.day, sales.c.product_id, sales.c.currency_code)
    page = select(sales).order_by(*keys).limit(query.page_size + 1)
    if query.filter.product_id:
        page = page.where(sales.c.product_id == query.filter.product_id)
    if query.filter.until_day:
        page = page.where(sales.c.day <= query.filter.until_day)
    if query.start is not None:
        page = page.where(tuple_(*keys) > tuple_(*query.start.after))
    since = query.filter.since_day
    # A later page lies beyond it anyway. The database would choose it for where to begin, and pass
    # over all pages before.
    if since and (query.start is None or query.start.after.day < since):
        page = page.where(sales.c.day >= since)
    return page
