"""How a subcommand for operators makes its call, whichever server it speaks to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Generic, ParamSpec, TypeVar

import click
import grpc
from google.protobuf.message import Message

from cli.client import Server
from cli.exchange import exchange
from cli.refused import Sent
from cli.servers import server_of
from cli.shared_options import (
    F,
    call_options,
    json_option,
    kept,
    shared_option,
    with_options,
)

P = ParamSpec("P")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
StubT = TypeVar("StubT")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPort(Generic[StubT]):
    """Where a server listens for operators, and how the command line names it."""

    make_stub: Callable[[grpc.Channel], StubT]
    server: str
    """Whose port it is, as --help says it."""
    address_flag: str
    variable: str
    """The setting of the server: where both are told, they agree."""
    default_address: str

    def options(self, function: F) -> F:
        """Where the server listens, and what every call of an operator carries."""
        return with_options(
            function,
            shared_option(
                self.address_flag,
                self._parameter,
                envvar=self.variable,
                show_envvar=True,
                default=self.default_address,
                show_default=True,
                metavar="HOST:PORT",
                help=f"Where the {self.server} listens for operators.",
            ),
            call_options(""),
            json_option,
        )

    def operating(self, ctx: click.Context) -> "Operating[StubT]":
        """What the options of a command line say."""
        return Operating(
            port=self,
            server=server_of(ctx, self._parameter),
            as_json=kept(ctx, "as_json"),
        )

    @property
    def _parameter(self) -> str:
        return self.address_flag.lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operating(Generic[StubT]):
    """How a server is asked by an operator."""

    port: OperatorPort[StubT]
    server: Server
    as_json: bool

    @property
    def flag(self) -> str:
        """Names the server in a line to type; empty for the usual one."""
        address = self.server.address
        if address == self.port.default_address:
            return ""
        return f" {self.port.address_flag} {address}"

    def ask(
        self,
        method: Callable[[StubT], "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]"],
        request: RequestT,
    ) -> ResponseT:
        """Asks, and returns the answer.

        Raises:
            Refused: the server said no, or did not answer.
        """
        return exchange(
            self.server,
            self.port.make_stub,
            method,
            request,
            sent=Sent(
                address=self.server.address,
                address_flag=self.port.address_flag,
                operation=True,
            ),
            as_json=self.as_json,
        )


def operates(
    port: OperatorPort[StubT],
    function: Callable[Concatenate[Operating[StubT], P], None],
) -> Callable[P, None]:
    """Gives a subcommand the options of an operator, and its `Operating`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        operating = port.operating(click.get_current_context())
        function(operating, *args, **kwargs)

    return port.options(run)


def reason_option(function: F) -> F:
    """Why: it is logged, and shown to whoever looks later."""
    return click.option("--reason", required=True, help="Why; it is kept in the log.")(
        function
    )
