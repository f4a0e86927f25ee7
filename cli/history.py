"""The events of an order, told in a line each."""

from collections.abc import Sequence

from rich.markup import escape

from cli.output import (
    console,
    enum_text,
    print_page_end,
    print_read_info,
    print_table,
    table,
    time_text,
)
from cli.parameters import money_text
from orderes.events.v1.events_pb2 import CancelReason, Line, RecordedEvent
from orderes.v1.consistency_pb2 import ReadInfo

_CANCEL_REASONS: dict[int, str] = {
    number: name for name, number in CancelReason.items()
}


def print_history(
    events: Sequence[RecordedEvent], next_page_token: str, read_info: ReadInfo
) -> None:
    """Shows a page of events, oldest first."""
    rows = table("#version", "#position", "time (UTC)", "event", "~what happened")
    for event in events:
        rows.add_row(
            str(event.order_version),
            str(event.position),
            time_text(event.record_time),
            escape(event.type),
            escape(happened(event)),
        )
    print_table(console(), rows)
    print_page_end(next_page_token)
    print_read_info(read_info)


def happened(event: RecordedEvent) -> str:  # noqa: C901, PLR0911 - A line each.
    """What happened, in words; empty for an event that this release does not know."""
    match event.WhichOneof("payload"):
        case "order_placed":
            placed = event.order_placed
            lines = ", ".join(_line_text(line) for line in placed.lines)
            return f"{placed.customer_id} ordered {lines}"
        case "order_line_added":
            return f"added {_line_text(event.order_line_added.line)}"
        case "order_line_removed":
            return f"removed {event.order_line_removed.product_id}"
        case "order_line_quantity_changed":
            changed = event.order_line_quantity_changed
            return (
                f"{changed.product_id} from {changed.old_quantity} "
                f"to {changed.new_quantity}"
            )
        case "payment_received":
            received = event.payment_received
            return f"{money_text(received.amount)} with {received.payment_id}"
        case "order_paid":
            return f"{money_text(event.order_paid.amount_paid)}, nothing more is due"
        case "order_shipped":
            shipped = event.order_shipped
            return f"by {shipped.carrier}, {shipped.tracking_number}"
        case "order_delivered":
            return "arrived"
        case "order_cancelled":
            cancelled = event.order_cancelled
            code = enum_text(_CANCEL_REASONS, cancelled.reason_code, "CANCEL_REASON_")
            owed = money_text(cancelled.refund_due)
            return f"{code}: {cancelled.reason}; owed back {owed}"
        case "payment_refunded":
            refunded = event.payment_refunded
            return (
                f"{money_text(refunded.amount)} of {refunded.payment_id} "
                f"with {refunded.refund_id}"
            )
        case _:
            return ""


def _line_text(line: Line) -> str:
    return f"{line.quantity} × {line.product_id} at {money_text(line.unit_price)}"  # noqa: RUF001
