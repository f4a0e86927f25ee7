"""`orderes order get`, `list` and `history`: what reads orders."""

import click
from google.protobuf.timestamp_pb2 import Timestamp

from cli.calls import Asking, asks_query
from cli.history import print_history
from cli.output import print_order, print_orders
from cli.parameters import TIME, VERSION_MAX, choices
from cli.shared_options import paging_options
from orderes.v1.order_pb2 import OrderState
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
)

OF_THE_PAST = {
    "ORDER_NOT_FOUND": "it may be younger than that time: see `{look}`, or look at the "
    "id.",
}
"""What to do where an order is not found in the past."""


@click.command("get")
@click.argument("order_id")
@click.option(
    "--as-of-version",
    type=click.IntRange(0, VERSION_MAX),
    metavar="N",
    help="As it was after its first N events.",
)
@click.option(
    "--as-of-time",
    type=TIME,
    help="As it was at this time, like 2026-11-23T09:00:00.5Z. The times that are shown "
    "have no fraction: what is shown with 09:00:00 was stored within that second.",
)
@asks_query
def get(
    asking: Asking,
    order_id: str,
    *,
    as_of_version: int | None,
    as_of_time: Timestamp | None,
) -> None:
    """Show an order as it is, or as it was."""
    if as_of_version is not None and as_of_time is not None:
        raise click.UsageError(
            "--as-of-version and --as-of-time name different moments: give one of them"
        )
    request = GetOrderRequest(
        order_id=order_id, consistency=asking.consistency, time=as_of_time
    )
    if as_of_version is not None:
        request.version = as_of_version
    asking.ask(
        lambda queries: queries.GetOrder,
        request,
        lambda response: print_order(
            response.order, response.read_info, as_of=_as_of_text(request)
        ),
        order_id=order_id,
        next_steps=OF_THE_PAST if as_of_time is not None else None,
    )


def _as_of_text(request: GetOrderRequest) -> str:
    """The moment that was asked for, in words; empty for now."""
    match request.WhichOneof("as_of"):
        case "version":
            return f"after its event {request.version:,}"
        case "time":
            return f"at {request.time.ToJsonString()}"
        case _:
            return ""


@click.command("list")
@click.option("--customer", "customer_id", default="", help="Only this customer's.")
@click.option(
    "--state",
    "states",
    type=choices(OrderState.keys(), "ORDER_STATE_"),
    multiple=True,
    help="Only in this state. Repeatable.",
)
@click.option("--product", "product_id", default="", help="Only with this product.")
@click.option("--placed-since", type=TIME, help="Only placed at or after this time.")
@click.option("--placed-before", type=TIME, help="Only placed before this time.")
@click.option(
    "--order-by",
    default="",
    help='"place_time" or "update_time", with " desc" or without.  '
    "[default: place_time desc]",
)
@paging_options
@asks_query
def list_orders(
    asking: Asking,
    *,
    customer_id: str,
    states: tuple[str, ...],
    product_id: str,
    placed_since: Timestamp | None,
    placed_before: Timestamp | None,
    order_by: str,
    page_size: int,
    page_token: str,
) -> None:
    """List orders, newest first. Filters that are given must all match."""
    request = ListOrdersRequest(
        page_size=page_size,
        page_token=page_token,
        customer_id=customer_id,
        states=[OrderState.Value(f"ORDER_STATE_{state.upper()}") for state in states],
        product_id=product_id,
        placed_since=placed_since,
        placed_before=placed_before,
        order_by=order_by,
        consistency=asking.consistency,
    )
    asking.ask(
        lambda queries: queries.ListOrders,
        request,
        lambda response: print_orders(
            response.orders, response.next_page_token, response.read_info
        ),
    )


@click.command("history")
@click.argument("order_id")
@paging_options
@asks_query
def history(asking: Asking, order_id: str, page_size: int, page_token: str) -> None:
    """Show everything that happened to an order, oldest first."""
    request = ListOrderEventsRequest(
        order_id=order_id,
        page_size=page_size,
        page_token=page_token,
        consistency=asking.consistency,
    )
    asking.ask(
        lambda queries: queries.ListOrderEvents,
        request,
        lambda response: print_history(
            response.events, response.next_page_token, response.read_info
        ),
        order_id=order_id,
    )
