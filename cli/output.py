"""Answers as people and programs read them."""

import datetime as dt
import errno
import os
import select
import sys
from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.parameters import money_text
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.order_pb2 import CancelReason, Order, OrderState, PaymentState

JSON_INDENT = 2
PLAIN_WIDTH = 200
"""Columns of an output that is no terminal."""
FOLDED_WIDTH_MIN = 12
"""Columns that a folded column of a table keeps, however narrow the terminal is."""
GAP_WIDTH = 3
"""Between two columns of a table."""
SECONDS_IN_MINUTE = 60

_ORDER_STATES: dict[int, str] = {number: name for name, number in OrderState.items()}
_CANCEL_REASONS: dict[int, str] = {
    number: name for name, number in CancelReason.items()
}
_PAYMENT_STATES: dict[int, str] = {
    number: name for name, number in PaymentState.items()
}


class _Console(Console):
    """A console that leaves it to the caller what happens when its reader goes away."""

    def on_broken_pipe(self) -> None:
        """Raises the error of the pipe; the library would end the process.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, stderr: bool = False) -> Console:
    """Where people read.

    Made at each use, because it binds the stream of the moment. Long lines are left
    whole when the output is no terminal, so that ids can be cut out of it.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _Console(
        file=stream,
        highlight=False,
        soft_wrap=True,
        width=None if stream.isatty() else PLAIN_WIDTH,
    )


def json_text(message: Message) -> str:
    """The answer in the JSON of proto3, with the names of the contract, as grpcurl has it.

    Fields that are empty are there as well, so that a program finds every one of them.
    """
    return MessageToJson(
        message,
        indent=JSON_INDENT,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def json_line(message: Message) -> str:
    """The same on one line, for an output that goes on."""
    return MessageToJson(
        message,
        indent=None,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def reader_is_gone() -> bool:
    """Whether what is written to stdout would reach nobody, as after `| head`."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # It has no file behind it.
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def forget_reader() -> None:
    """Sends what is still to be written nowhere, after an error of writing it.

    What is buffered would fail again at exit, and turn the exit code into 120.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def time_text(time: Timestamp) -> str:
    """A time to the second, in UTC."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")


def span_text(seconds: float) -> str:
    """A span of time: `12.3 s`, and from a minute on `1:02:03`."""
    if seconds < SECONDS_IN_MINUTE:
        return f"{seconds:.1f} s"
    return str(dt.timedelta(seconds=round(seconds)))


def state_text(order: Order) -> str:
    """Where an order is in its life."""
    return enum_text(_ORDER_STATES, order.state, "ORDER_STATE_")


def payment_text(order: Order) -> str:
    """How much of an order's money has moved."""
    return enum_text(_PAYMENT_STATES, order.payment_state, "PAYMENT_STATE_")


def print_order(order: Order, read_info: ReadInfo, *, as_of: str = "") -> None:
    """Shows one order with its lines, its payments and its way.

    Args:
        order: The order.
        read_info: How fresh it is.
        as_of: When it was so, in words; empty for now.
    """
    out = console()
    if as_of:
        out.print(f"[bold]As it was {as_of}:[/bold]")
    print_facts(out, _order_facts(order))
    lines = table("~product", "#quantity", "#unit price")
    for line in order.lines:
        price = money_text(line.unit_price)
        lines.add_row(escape(line.product_id), str(line.quantity), price)
    out.print()
    print_table(out, lines)
    if order.payments:
        payments = table("payment", "#amount", "#refunded", "recorded (UTC)")
        for payment in order.payments:
            payments.add_row(
                escape(payment.payment_id),
                money_text(payment.amount),
                money_text(payment.refunded),
                time_text(payment.record_time),
            )
        out.print()
        print_table(out, payments)
    print_read_info(read_info)


def print_orders(
    orders: Sequence[Order], next_page_token: str, read_info: ReadInfo
) -> None:
    """Shows a page of orders."""
    out = console()
    rows = table("order", "~customer", "state", "paid", "#total", "#version", "placed")
    for order in orders:
        rows.add_row(
            order.order_id,
            escape(order.customer_id),
            state_text(order),
            payment_text(order),
            money_text(order.total),
            str(order.version),
            time_text(order.place_time),
        )
    if orders:
        print_table(out, rows)
    else:
        out.print("No orders.")
    print_page_end(next_page_token)
    print_read_info(read_info)


def print_page_end(next_page_token: str) -> None:
    """Says how to go on, if there is more."""
    if next_page_token:
        console().print(f"There is more: --page-token {next_page_token}")


def print_read_info(read_info: ReadInfo) -> None:
    """Says how fresh an answer is, and that it is stale, if it is."""
    out = console()
    lag = read_info.lag.ToTimedelta().total_seconds()
    if lag:
        freshness = f"last known complete {lag:.1f} s ago"
    elif read_info.stale:  # It is behind a position that came a moment ago.
        freshness = "last known complete less than 2 s ago"
    else:
        freshness = "up to date"
    out.print(f"\n[dim]read at position {read_info.position}, {freshness}[/dim]")
    if read_info.stale:
        out.print("[yellow]Stale: it is older than was asked for.[/yellow]")


def print_facts(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Shows names and values, a line each; what is empty is left out."""
    shown = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        out.print(f"  [dim]{escape(name.ljust(width))}[/dim]  {escape(value)}")


def table(*columns: str) -> Table:
    """An empty table, for `print_table`.

    A column whose name starts with `#` holds figures; one with `~` holds what may be
    folded into several lines. All others stay whole, so that ids can be copied.
    """
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(
            column.lstrip("#~"),
            justify="right" if column.startswith("#") else "left",
            overflow="fold",
            no_wrap=not column.startswith("~"),
        )
    return made


def print_table(out: Console, rows: Table) -> None:
    """Shows a table; where the terminal is too narrow for it, lines are longer than that.

    The library would cut what has no room.
    """
    needed = GAP_WIDTH * (len(rows.columns) - 1)
    for column in rows.columns:
        cells = (column.header, *column.cells)
        width = max(out.measure(cell).maximum for cell in cells)
        column.min_width = width if column.no_wrap else min(width, FOLDED_WIDTH_MIN)
        needed += column.min_width
    if needed > out.width:
        rows.width = needed
    out.print(rows)


def enum_text(names: Mapping[int, str], number: int, prefix: str) -> str:
    """The name of a value of an enum; a newer server may send one unknown here."""
    return names.get(number, f"OTHER ({number})").removeprefix(prefix)


def _order_facts(order: Order) -> list[tuple[str, str]]:
    rows = [
        ("order", order.order_id),
        ("customer", order.customer_id),
        ("state", state_text(order)),
        ("payment", payment_text(order)),
        ("total", money_text(order.total)),
        ("paid", money_text(order.amount_paid)),
        ("refunded", money_text(order.amount_refunded)),
        ("version", str(order.version)),
        ("position", str(order.position)),
        ("placed", f"{time_text(order.place_time)} UTC"),
        ("updated", f"{time_text(order.update_time)} UTC"),
    ]
    if order.HasField("shipment"):
        shipment = order.shipment
        rows.append(("carrier", shipment.carrier))
        rows.append(("tracking", shipment.tracking_number))
        rows.append(("shipped", f"{time_text(shipment.ship_time)} UTC"))
        if shipment.HasField("deliver_time"):
            rows.append(("delivered", f"{time_text(shipment.deliver_time)} UTC"))
    if order.cancel_reason:
        rows.append(("cancelled", order.cancel_reason))
    if order.cancel_reason_code:
        code = enum_text(_CANCEL_REASONS, order.cancel_reason_code, "CANCEL_REASON_")
        rows.append(("reason code", code))
    return rows
