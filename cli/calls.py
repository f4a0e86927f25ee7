"""How a subcommand of `orderes order` makes its call and shows the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
import grpc
import uuid_utils
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from cli.client import Server
from cli.failure import failure_of
from cli.output import json_text, print_receipt
from cli.parameters import POSITION_MAX, SECONDS, VERSION_MAX, choices
from cli.program import own_command
from cli.refused import Refused, Sent
from cli.shared_options import (
    READ_ADDRESS,
    TIMEOUT_SECONDS,
    WAIT_MARGIN_SECONDS,
    WAIT_SECONDS_MAX,
    command_id_option,
    connection_options,
    json_option,
    kept,
    shared_option,
    with_options,
)
from orderes.v1.command_pb2 import CommandOptions, Lane, WaitFor
from orderes.v1.command_service_pb2 import (
    AddOrderLineResponse,
    CancelOrderResponse,
    ChangeOrderLineQuantityResponse,
    DeliverOrderResponse,
    PlaceOrderResponse,
    RecordPaymentResponse,
    RefundPaymentResponse,
    RemoveOrderLineResponse,
    ShipOrderResponse,
)
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

P = ParamSpec("P")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ReceiptT = TypeVar(
    "ReceiptT",
    bound=PlaceOrderResponse
    | AddOrderLineResponse
    | RemoveOrderLineResponse
    | ChangeOrderLineQuantityResponse
    | RecordPaymentResponse
    | ShipOrderResponse
    | DeliverOrderResponse
    | CancelOrderResponse
    | RefundPaymentResponse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a command is sent."""

    server: Server
    read_address: str
    command_id: str
    expected_version: int | None
    options: CommandOptions
    as_json: bool

    def send(
        self,
        method: Callable[
            [CommandServiceStub], "grpc.UnaryUnaryMultiCallable[RequestT, ReceiptT]"
        ],
        request: RequestT,
        *,
        order_id: str,
        order_flag: str = "ORDER_ID",
    ) -> None:
        """Sends the command and prints its receipt.

        Raises:
            Refused: the server said no, or did not answer.
        """
        sent = Sent(
            address=self.server.address,
            address_flag="--write-address",
            command_id=self.command_id,
            order_id=order_id,
            order_flag=order_flag,
        )
        try:
            response = self.server.call(CommandServiceStub, method, request)
        except grpc.RpcError as error:
            raise Refused(failure_of(error), sent, as_json=self.as_json) from error
        if self.as_json:
            click.echo(json_text(response))
        else:
            command = response.command
            read_back = f"{own_command()} order get {command.order_id}"
            if self.read_address != READ_ADDRESS:
                read_back += f" --read-address {self.read_address}"
            print_receipt(command, response.order, read_back=read_back)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a query is asked."""

    server: Server
    consistency: Consistency | None
    as_json: bool

    def ask(
        self,
        method: Callable[
            [QueryServiceStub], "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]"
        ],
        request: RequestT,
        show: Callable[[ResponseT], None],
        *,
        order_id: str = "",
    ) -> None:
        """Asks, and shows the answer.

        Raises:
            Refused: the server said no, or did not answer.
        """
        sent = Sent(
            address=self.server.address,
            address_flag="--read-address",
            order_id=order_id,
        )
        try:
            response = self.server.call(QueryServiceStub, method, request)
        except grpc.RpcError as error:
            raise Refused(failure_of(error), sent, as_json=self.as_json) from error
        if self.as_json:
            click.echo(json_text(response))
        else:
            show(response)


def sends_command(
    function: Callable[Concatenate[Sending, P], None],
) -> Callable[P, None]:
    """Gives a subcommand the options of a command, and its `Sending`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        function(_sending(click.get_current_context()), *args, **kwargs)

    return with_options(
        run,
        command_id_option,
        shared_option(
            "--expected-version",
            type=click.IntRange(0, VERSION_MAX),
            metavar="N",
            help="Refuse if the order has another version than this.",
        ),
        shared_option(
            "--wait-for",
            type=choices(WaitFor.keys(), "WAIT_FOR_"),
            default="committed",
            show_default=True,
            help="What the answer waits for.",
        ),
        shared_option(
            "--lane",
            type=choices(Lane.keys(), "LANE_"),
            help="Lane of the queue.  [default: that of the command's type]",
        ),
        shared_option(
            "--max-wait-seconds",
            type=SECONDS,
            help="How long the server may wait before it answers.  [default: 10]",
        ),
        connection_options,
        json_option,
    )


def asks_query(function: Callable[Concatenate[Asking, P], None]) -> Callable[P, None]:
    """Gives a subcommand the options of a query, and its `Asking`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        function(_asking(click.get_current_context()), *args, **kwargs)

    return with_options(
        run,
        shared_option(
            "--min-position",
            type=click.IntRange(0, POSITION_MAX),
            metavar="N",
            help="Answer only with everything up to this position, as a receipt shows "
            "it: read your own write.",
        ),
        shared_option(
            "--max-wait-seconds",
            type=SECONDS,
            help="How long to wait for --min-position.  [default: 2]",
        ),
        connection_options,
        json_option,
    )


def _sending(ctx: click.Context) -> Sending:
    command_id = kept(ctx, "command_id")
    if command_id is None:
        command_id = str(uuid_utils.uuid7())
        # Before it is sent: whoever interrupts the call can still repeat the command.
        click.echo(f"command_id {command_id} (made here; a repeat needs it)", err=True)
    options = CommandOptions(
        wait_for=WaitFor.Value(f"WAIT_FOR_{kept(ctx, 'wait_for').upper()}"),
        max_wait=_duration(kept(ctx, "max_wait_seconds")),
    )
    if lane := kept(ctx, "lane"):
        options.lane = Lane.Value(f"LANE_{lane.upper()}")
    return Sending(
        server=_server(ctx, "write_address"),
        read_address=kept(ctx, "read_address"),
        command_id=command_id,
        expected_version=kept(ctx, "expected_version"),
        options=options,
        as_json=kept(ctx, "as_json"),
    )


def _asking(ctx: click.Context) -> Asking:
    min_position = kept(ctx, "min_position")
    max_wait_seconds = kept(ctx, "max_wait_seconds")
    consistency = None
    if min_position is not None:
        consistency = Consistency(
            min_position=min_position, max_wait=_duration(max_wait_seconds)
        )
    elif max_wait_seconds is not None:
        raise click.UsageError("--max-wait-seconds waits for --min-position: give both")
    return Asking(
        # The server has waited already: its "not yet" is the answer.
        server=_server(ctx, "read_address", retrying=consistency is None),
        consistency=consistency,
        as_json=kept(ctx, "as_json"),
    )


def _server(ctx: click.Context, address: str, *, retrying: bool = True) -> Server:
    timeout_seconds = kept(ctx, "timeout_seconds")
    if timeout_seconds is None:
        wait_seconds = min(kept(ctx, "max_wait_seconds") or 0, WAIT_SECONDS_MAX)
        timeout_seconds = max(TIMEOUT_SECONDS, wait_seconds + WAIT_MARGIN_SECONDS)
    return Server(
        address=kept(ctx, address),
        timeout_seconds=timeout_seconds,
        correlation_id=kept(ctx, "correlation_id") or "",
        retrying=retrying,
    )


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=microseconds * 1000)
