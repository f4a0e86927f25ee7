"""`orderes order get`, `list` and `history`: what reads orders."""

import click
from google.protobuf.timestamp_pb2 import Timestamp

from cli.calls import Asking, asks_query
from cli.history import print_history
from cli.output import print_order, print_orders
from cli.parameters import TIME, choices
from cli.shared_options import paging_options
from orderes.v1.order_pb2 import OrderState
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
)


@click.command("get")
@click.argument("order_id")
@asks_query
def get(asking: Asking, order_id: str) -> None:
    """Show an order."""
    request = GetOrderRequest(order_id=order_id, consistency=asking.consistency)
    asking.ask(
        lambda queries: queries.GetOrder,
        request,
        lambda response: print_order(response.order, response.read_info),
        order_id=order_id,
    )


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
