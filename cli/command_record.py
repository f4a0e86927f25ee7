"""`orderes order command`: what became of a command, whoever sent it."""

from collections.abc import Callable
from typing import TypeVar

import click
import grpc
from google.protobuf.message import Message

from cli.client import Server
from cli.exchange import exchange
from cli.output import console, json_text
from cli.parameters import SECONDS
from cli.receipt import print_record
from cli.refused import Sent
from cli.servers import duration_of, server_of
from cli.shared_options import connection_options, json_option, kept, shared_option
from orderes.v1.command_pb2 import CommandStage
from orderes.v1.command_service_pb2 import (
    GetCommandRequest,
    GetCommandResponse,
    WaitCommandRequest,
    WaitCommandResponse,
)
from orderes.v1.command_service_pb2_grpc import CommandServiceStub

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@click.command("command")
@click.argument("command_id")
@click.option("--wait", is_flag=True, help="Wait until it is executed.")
@shared_option(
    "--max-wait-seconds",
    type=SECONDS,
    help="How long --wait waits.  [default: 10]",
)
@connection_options
@json_option
def command(command_id: str, *, wait: bool) -> None:
    """Show what became of a command: executed, refused, failed, or still to come."""
    ctx = click.get_current_context()
    if kept(ctx, "max_wait_seconds") is not None and not wait:
        raise click.UsageError("--max-wait-seconds is how long --wait waits: give both")
    server = server_of(ctx, "write_address")
    answer: GetCommandResponse | WaitCommandResponse
    if wait:
        max_wait = duration_of(kept(ctx, "max_wait_seconds"))
        answer = _ask(
            server,
            lambda commands: commands.WaitCommand,
            WaitCommandRequest(command_id=command_id, max_wait=max_wait),
            as_json=kept(ctx, "as_json"),
        )
    else:
        answer = _ask(
            server,
            lambda commands: commands.GetCommand,
            GetCommandRequest(command_id=command_id),
            as_json=kept(ctx, "as_json"),
        )
    if kept(ctx, "as_json"):
        click.echo(json_text(answer))
        return
    print_record(answer.command)
    if wait and answer.command.stage == CommandStage.COMMAND_STAGE_ACCEPTED:
        console().print("\nThe wait is over, and it is not executed yet.")


def _ask(
    server: Server,
    method: Callable[
        [CommandServiceStub], "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]"
    ],
    request: RequestT,
    *,
    as_json: bool,
) -> ResponseT:
    sent = Sent(
        address=server.address,
        address_flag="--write-address",
        flags={"command_id": "COMMAND_ID"},
    )
    return exchange(
        server, CommandServiceStub, method, request, sent=sent, as_json=as_json
    )
