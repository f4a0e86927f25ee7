"""How a subcommand for operators of the write server makes its call."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeAlias

from cli.operating import Operating, OperatorPort, operates
from cli.shared_options import ADMIN_ADDRESS
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub

P = ParamSpec("P")

Administering: TypeAlias = Operating[WriteAdminServiceStub]
"""How the write server is asked by an operator."""

WRITE_ADMIN = OperatorPort(
    make_stub=WriteAdminServiceStub,
    server="write server",
    address_flag="--admin-address",
    variable="ORDERES_WRITE_ADMIN_ADDRESS",
    default_address=ADMIN_ADDRESS,
)


def administers(
    function: Callable[Concatenate[Administering, P], None],
) -> Callable[P, None]:
    """Gives a subcommand the options of an operator, and its `Administering`."""
    return operates(WRITE_ADMIN, function)
