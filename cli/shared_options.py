"""Options that subcommands share, most of them kept in the context instead of every
signature.

Those of the connection may stand before or after the subcommand's name:
`orderes order --read-address … get …` and `orderes order get … --read-address …`.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cli.parameters import COMMAND_ID, CORRELATION_ID, SECONDS

F = TypeVar("F", bound=Callable[..., None])

WRITE_ADDRESS = "127.0.0.1:50051"
READ_ADDRESS = "127.0.0.1:50052"
ADMIN_ADDRESS = "127.0.0.1:50054"
PROJECTOR_ADDRESS = "127.0.0.1:50053"
TIMEOUT_SECONDS = 15.0
"""Longer than the 10 s that a server waits by default, so that its answer is heard."""
WAIT_SECONDS_MAX = 30.0
"""What a server waits, however much longer it is told to."""
WAIT_MARGIN_SECONDS = 5.0
"""What a call gets beyond the wait that it asks for: the answer has to come back."""

_META = "orderes."


def kept(ctx: click.Context, name: str) -> Any:
    """The value of a shared option, as given nearest to the end of the line."""
    return ctx.meta.get(f"{_META}{name}")


def shared_option(*declarations: str, **attributes: Any) -> Callable[[F], F]:
    """An option whose value goes to `kept`; what is typed beats what is a default."""

    def keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
        key = f"{_META}{param.name}"
        source = ctx.get_parameter_source(str(param.name))
        if source is ParameterSource.COMMANDLINE or key not in ctx.meta:
            ctx.meta[key] = value

    return click.option(*declarations, expose_value=False, callback=keep, **attributes)


def with_options(function: F, *options: Callable[[F], F]) -> F:
    """Adds options to a subcommand; the first is shown first by --help."""
    return reduce(lambda made, option: option(made), reversed(options), function)


def connection_options(function: F) -> F:
    """Where the servers are that clients speak to, and what every call carries."""
    return with_options(
        function,
        shared_option(
            "--write-address",
            envvar="ORDERES_WRITE_ADDRESS",
            show_envvar=True,
            default=WRITE_ADDRESS,
            show_default=True,
            metavar="HOST:PORT",
            help="Where the write server listens.",
        ),
        read_address_option,
        call_options("; more if --max-wait-seconds needs it"),
    )


def read_address_option(function: F) -> F:
    """Where the read server is."""
    return shared_option(
        "--read-address",
        envvar="ORDERES_READ_ADDRESS",
        show_envvar=True,
        default=READ_ADDRESS,
        show_default=True,
        metavar="HOST:PORT",
        help="Where the read server listens.",
    )(function)


def correlation_id_option(function: F) -> F:
    """The name of the flow, for whoever reads logs."""
    return shared_option(
        "--correlation-id",
        type=CORRELATION_ID,
        metavar="ID",
        help="The business flow that this belongs to.  [default: the server's]",
    )(function)


def call_options(or_more: str) -> Callable[[F], F]:
    """What every call carries.

    Args:
        or_more: When its deadline is longer than usual, as --help says it.
    """

    def add(function: F) -> F:
        return with_options(
            function,
            correlation_id_option,
            shared_option(
                "--timeout-seconds",
                type=SECONDS,
                help="Deadline of the call, its retries included.  "
                f"[default: {TIMEOUT_SECONDS:g}{or_more}]",
            ),
        )

    return add


def paging_options(function: F) -> F:
    """Which page of a list, and how long it is."""
    return with_options(
        function,
        click.option(
            "--page-size",
            type=click.IntRange(-(2**31), 2**31 - 1),
            default=0,
            metavar="N",
            help="At most so many.  [default: the server's]",
        ),
        click.option(
            "--page-token", default="", help="Go on where the page before ended."
        ),
    )


def command_id_option(function: F) -> F:
    """The idempotency key of a command."""
    return with_options(
        function,
        shared_option(
            "--command-id",
            type=COMMAND_ID,
            metavar="ID",
            help="Idempotency key: a repeat with the same one takes effect once. "
            "A UUIDv7 is made and shown if absent.",
        ),
    )


def json_option(function: F) -> F:
    """For programs."""
    return with_options(
        function,
        shared_option(
            "--json", "as_json", is_flag=True, help="Print the answer as proto3 JSON."
        ),
    )
