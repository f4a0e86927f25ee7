"""How a subcommand for operators makes its call."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
import grpc
from google.protobuf.message import Message

from cli.client import Server
from cli.exchange import exchange
from cli.refused import Sent
from cli.servers import server_of
from cli.shared_options import ADMIN_ADDRESS, F, admin_options, kept
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub

P = ParamSpec("P")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Administering:
    """How the write server is asked by an operator."""

    server: Server
    as_json: bool

    @property
    def flag(self) -> str:
        """Names the write server in a line to type; empty for the usual one."""
        address = self.server.address
        return "" if address == ADMIN_ADDRESS else f" --admin-address {address}"

    def ask(
        self,
        method: Callable[
            [WriteAdminServiceStub],
            "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]",
        ],
        request: RequestT,
    ) -> ResponseT:
        """Asks, and returns the answer.

        Raises:
            Refused: the server said no, or did not answer.
        """
        return exchange(
            self.server,
            WriteAdminServiceStub,
            method,
            request,
            sent=Sent(
                address=self.server.address,
                address_flag="--admin-address",
                operation=True,
            ),
            as_json=self.as_json,
        )


def administers(
    function: Callable[Concatenate[Administering, P], None],
) -> Callable[P, None]:
    """Gives a subcommand the options of an operator, and its `Administering`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        ctx = click.get_current_context()
        administering = Administering(
            server=server_of(ctx, "admin_address"), as_json=kept(ctx, "as_json")
        )
        function(administering, *args, **kwargs)

    return admin_options(run)


def reason_option(function: F) -> F:
    """Why: it is logged, and shown to whoever looks later."""
    return click.option("--reason", required=True, help="Why; it is kept in the log.")(
        function
    )
