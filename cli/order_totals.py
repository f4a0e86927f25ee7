"""`orderes order customer` and `sales`: totals over many orders."""

from collections.abc import Sequence

import click
from rich.markup import escape

from cli.calls import Asking, asks_query
from cli.output import (
    console,
    print_facts,
    print_page_end,
    print_read_info,
    print_table,
    table,
    time_text,
)
from cli.parameters import DAY, sum_text
from cli.shared_options import paging_options
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.query_service_pb2 import (
    CustomerSummary,
    GetCustomerSummaryRequest,
    ListProductSalesRequest,
    ProductSales,
)


@click.command("customer")
@click.argument("customer_id")
@asks_query
def customer(asking: Asking, customer_id: str) -> None:
    """Show how much a customer has ordered and paid."""
    request = GetCustomerSummaryRequest(
        customer_id=customer_id, consistency=asking.consistency
    )
    asking.ask(
        lambda queries: queries.GetCustomerSummary,
        request,
        lambda response: print_customer(response.customer_summary, response.read_info),
        flags={"customer_id": "CUSTOMER_ID"},
    )


@click.command("sales")
@click.option("--product", "product_id", default="", help="Only this product.")
@click.option("--since", type=DAY, help="First day, UTC.")
@click.option("--until", type=DAY, help="Last day, UTC.")
@paging_options
@asks_query
def sales(
    asking: Asking,
    *,
    product_id: str,
    since: str | None,
    until: str | None,
    page_size: int,
    page_token: str,
) -> None:
    """List what each product sold on each day.

    The day is that on which an order was fully paid; what is cancelled or refunded
    later is still in it.
    """
    request = ListProductSalesRequest(
        product_id=product_id,
        since_day=since or "",
        until_day=until or "",
        page_size=page_size,
        page_token=page_token,
        consistency=asking.consistency,
    )
    asking.ask(
        lambda queries: queries.ListProductSales,
        request,
        lambda response: print_sales(
            response.product_sales, response.next_page_token, response.read_info
        ),
    )


def print_customer(summary: CustomerSummary, read_info: ReadInfo) -> None:
    """Shows the totals of a customer."""
    rows = [
        ("customer", summary.customer_id),
        ("orders", f"{summary.order_count:,}"),
        ("of them cancelled", f"{summary.cancelled_count:,}"),
        *(("paid less refunded", sum_text(money)) for money in summary.net_paid),
    ]
    if summary.HasField("first_order_time"):
        rows.append(("first order", f"{time_text(summary.first_order_time)} UTC"))
    if summary.HasField("last_order_time"):
        rows.append(("latest order", f"{time_text(summary.last_order_time)} UTC"))
    print_facts(console(), rows)
    print_read_info(read_info)


def print_sales(
    sold: Sequence[ProductSales], next_page_token: str, read_info: ReadInfo
) -> None:
    """Shows a page of what was sold."""
    out = console()
    rows = table("day (UTC)", "~product", "#pieces", "#revenue", "#orders")
    for each in sold:
        rows.add_row(
            escape(each.day),
            escape(each.product_id),
            f"{each.quantity:,}",
            sum_text(each.revenue),
            f"{each.order_count:,}",
        )
    if sold:
        print_table(out, rows)
    else:
        out.print("No sales.")
    print_page_end(next_page_token)
    print_read_info(read_info)
