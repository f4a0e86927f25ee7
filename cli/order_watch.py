"""`orderes order watch`: events as they happen."""

import shlex
from contextlib import closing
from functools import partial

import click

from cli.fitting import print_prose, print_typed, printable
from cli.freshness import store_id_option
from cli.history import happened
from cli.output import (
    console,
    forget_reader,
    json_line,
    reader_is_gone,
    time_text,
)
from cli.parameters import POSITION_MAX, SECONDS
from cli.refused import Refused, Sent
from cli.servers import duration_of, server_of
from cli.shared_options import (
    READ_ADDRESS,
    TIMEOUT_SECONDS,
    correlation_id_option,
    json_option,
    kept,
    read_address_option,
    shared_option,
)
from cli.watching import MARK_SECONDS, WatchFailed, Watching
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1.query_service_pb2 import (
    WatchMark,
    WatchOrdersRequest,
    WatchOrdersResponse,
)

WIDE = 120
"""From so many columns on an event has one line; a pipe has them always."""
POSITION_WIDTH = 8
HAPPENED_INDENT = POSITION_WIDTH + 2
NEXT_STEPS = {
    "VERSION_OUT_OF_RANGE": "the log has not come to that position: leave "
    "--after-position out for what is new, or give --from-start.",
}


@click.command("watch")
@click.option(
    "--after-position",
    type=click.IntRange(0, POSITION_MAX),
    metavar="N",
    help="Begin with the event after this position.  [default: only what is new]",
)
@click.option("--from-start", is_flag=True, help="Begin with the first event.")
@click.option("--order", "order_ids", multiple=True, help="Only this one. Repeatable.")
@click.option("--customer", "customer_id", default="", help="Only this one's orders.")
@click.option(
    "--type",
    "event_types",
    multiple=True,
    help='Only such events, as "OrderPlaced". Repeatable.',
)
@click.option(
    "--mark-seconds",
    type=SECONDS,
    help="How often the server says how far it is, 1 to 60; it is taken for gone when "
    f"it is silent for three times as long.  [default: {MARK_SECONDS:g}]",
)
@store_id_option
@read_address_option
@correlation_id_option
@shared_option(
    "--timeout-seconds",
    type=SECONDS,
    help=f"How long a stream may take to begin.  [default: {TIMEOUT_SECONDS:g}]",
)
@json_option
def watch(
    *,
    after_position: int | None,
    from_start: bool,
    order_ids: tuple[str, ...],
    customer_id: str,
    event_types: tuple[str, ...],
    mark_seconds: float | None,
) -> None:
    """Show events as they happen, or all from a position on. Ctrl-C ends it.

    With --json each line is a message of the contract, the marks too: keep the newest
    position to go on from there.
    """
    if from_start and after_position is not None:
        raise click.UsageError(
            "--from-start and --after-position begin in different places: give one of "
            "them"
        )
    ctx = click.get_current_context()
    request = WatchOrdersRequest(
        after_position=0 if from_start else after_position,
        order_ids=order_ids,
        customer_id=customer_id,
        event_types=event_types,
        checkpoint_interval=duration_of(mark_seconds),
        store_id=kept(ctx, "store_id") or "",
    )
    watching = Watching(
        server_of(ctx, "read_address"), request, tell=partial(click.echo, err=True)
    )
    _watch(watching, address=kept(ctx, "read_address"), as_json=kept(ctx, "as_json"))


def _watch(watching: Watching, *, address: str, as_json: bool) -> None:
    """Shows what comes until somebody ends it, or the server refuses."""
    show = _show_json if as_json else _Showing().show
    try:
        with closing(watching.responses()) as responses:
            for response in responses:
                show(response)
                if reader_is_gone():  # Where nothing is written, no error tells it.
                    return
    except KeyboardInterrupt:
        _print_how_to_go_on(watching, address=address, as_json=as_json)
    except BrokenPipeError:
        forget_reader()
    except WatchFailed as error:
        if not as_json:  # A program has kept the position of the newest line.
            _print_how_to_go_on(watching, address=address, as_json=as_json)
        sent = Sent(
            address=address, address_flag="--read-address", next_steps=NEXT_STEPS
        )
        raise Refused(error.failure, sent, as_json=as_json) from error


def _show_json(response: WatchOrdersResponse) -> None:
    click.echo(json_line(response))


class _Showing:
    """Shows events to people; of the marks only the first that says: that is all."""

    def __init__(self) -> None:
        self._out = console()
        self._is_caught_up = False

    def show(self, response: WatchOrdersResponse) -> None:
        match response.WhichOneof("content"):
            case "event":
                self._show_event(response.event)
            case "mark":
                self._show_mark(response.mark)
            case _:
                pass  # A newer server may send what is not known here.

    def _show_event(self, event: RecordedEvent) -> None:
        position = str(event.position).rjust(POSITION_WIDTH)
        place = f"{position}  {time_text(event.record_time)}  {event.order_id}"
        place = f"{place}  v{event.order_version}"
        what = f"{event.type}  {happened(event)}".rstrip()
        if self._out.width >= WIDE:
            click.echo(printable(f"{place}  {what}"))
        else:
            click.echo(printable(place))
            print_prose(self._out, what, indent=HAPPENED_INDENT)

    def _show_mark(self, mark: WatchMark) -> None:
        if mark.caught_up and not self._is_caught_up:
            self._is_caught_up = True
            caught_up = f"[dim]caught up at position {mark.position}[/dim]"
            console(stderr=True).print(caught_up)


def _print_how_to_go_on(watching: Watching, *, address: str, as_json: bool) -> None:
    """Says from where on nothing has been seen yet, if it is known."""
    if not watching.has_answered:
        return
    request = watching.request
    filters = [f"--order {shlex.quote(order_id)}" for order_id in request.order_ids]
    if request.customer_id:
        filters.append(f"--customer {shlex.quote(request.customer_id)}")
    filters += [f"--type {shlex.quote(name)}" for name in request.event_types]
    err = console(stderr=True)
    err.print(f"\nSeen up to position {request.after_position}. Go on from there:")
    print_typed(
        err,
        [
            "order watch",
            f"--after-position {request.after_position}",
            *filters,
            f"--store-id {request.store_id}" if request.store_id else "",
            "" if address == READ_ADDRESS else f"--read-address {address}",
            "--json" if as_json else "",
        ],
    )
