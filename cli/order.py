"""`orderes order`: orders, over the wire."""

import click

from cli.command_record import command
from cli.groups import InOrder
from cli.order_commands import (
    add_line,
    cancel,
    change_quantity,
    deliver,
    pay,
    place,
    refund,
    remove_line,
    ship,
)
from cli.order_queries import get, history, list_orders
from cli.order_totals import customer, sales
from cli.order_watch import watch
from cli.shared_options import command_id_option, connection_options

SUBCOMMANDS = (
    place,
    add_line,
    change_quantity,
    remove_line,
    pay,
    ship,
    deliver,
    cancel,
    refund,
    get,
    list_orders,
    history,
    watch,
    customer,
    sales,
    command,
)


@click.group("order", cls=InOrder)
@connection_options
@command_id_option
def order() -> None:
    """Place, change and read orders."""


for subcommand in SUBCOMMANDS:
    order.add_command(subcommand)
