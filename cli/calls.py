"""How a subcommand of `orderes order` makes its call and shows the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
import grpc
import uuid_utils
from google.protobuf.message import Message

from cli.client import Server
from cli.exchange import exchange
from cli.freshness import consistency_of, freshness_options, waits
from cli.output import json_text
from cli.parameters import SECONDS, VERSION_MAX, choices
from cli.receipt import print_receipt
from cli.refused import Sent
from cli.servers import duration_of, server_of
from cli.shared_options import (
    READ_ADDRESS,
    WRITE_ADDRESS,
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
        flags: Mapping[str, str] | None = None,
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
            flags=flags or {},
        )
        response = exchange(
            self.server,
            CommandServiceStub,
            method,
            request,
            sent=sent,
            as_json=self.as_json,
        )
        if self.as_json:
            click.echo(json_text(response))
            return
        write = "" if self.server.address == WRITE_ADDRESS else self.server.address
        read = "" if self.read_address == READ_ADDRESS else self.read_address
        print_receipt(
            response.command,
            response.order,
            write_flag=f" --write-address {write}" if write else "",
            read_flag=f" --read-address {read}" if read else "",
        )


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
        flags: Mapping[str, str] | None = None,
        next_steps: Mapping[str, str] | None = None,
    ) -> None:
        """Asks, and shows the answer.

        Raises:
            Refused: the server said no, or did not answer.
        """
        sent = Sent(
            address=self.server.address,
            address_flag="--read-address",
            order_id=order_id,
            flags=flags or {},
            next_steps=next_steps or {},
        )
        response = exchange(
            self.server,
            QueryServiceStub,
            method,
            request,
            sent=sent,
            as_json=self.as_json,
        )
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
            help="What the answer waits for: that it is stored (accepted), or that it "
            "is executed and its events are stored (committed).",
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
        shared_option(
            "--validate-only",
            is_flag=True,
            help="Say what would happen, and store nothing.",
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
        freshness_options,
        connection_options,
        json_option,
    )


def _sending(ctx: click.Context) -> Sending:
    command_id = kept(ctx, "command_id")
    validate_only = kept(ctx, "validate_only")
    if command_id is None:
        command_id = str(uuid_utils.uuid7())
        if not validate_only:
            # Before it is sent: whoever interrupts the call can still repeat the command.
            made = f"command_id {command_id} (made here; a repeat needs it)"
            click.echo(made, err=True)
    options = CommandOptions(
        wait_for=WaitFor.Value(f"WAIT_FOR_{kept(ctx, 'wait_for').upper()}"),
        max_wait=duration_of(kept(ctx, "max_wait_seconds")),
        validate_only=validate_only,
    )
    if lane := kept(ctx, "lane"):
        options.lane = Lane.Value(f"LANE_{lane.upper()}")
    return Sending(
        server=server_of(ctx, "write_address"),
        read_address=kept(ctx, "read_address"),
        command_id=command_id,
        expected_version=kept(ctx, "expected_version"),
        options=options,
        as_json=kept(ctx, "as_json"),
    )


def _asking(ctx: click.Context) -> Asking:
    consistency = consistency_of(ctx)
    return Asking(
        # A server that has waited already has given its answer, if it is "not yet".
        server=server_of(ctx, "read_address", retrying=not waits(consistency)),
        consistency=consistency,
        as_json=kept(ctx, "as_json"),
    )
