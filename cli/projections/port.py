"""How a subcommand for operators of the projector makes its call."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeAlias

from cli.operating import Operating, OperatorPort, operates
from cli.shared_options import PROJECTOR_ADDRESS
from orderes.v1.projection_admin_service_pb2_grpc import ProjectionAdminServiceStub

P = ParamSpec("P")

Projecting: TypeAlias = Operating[ProjectionAdminServiceStub]
"""How the projector is asked by an operator."""

PROJECTOR = OperatorPort(
    make_stub=ProjectionAdminServiceStub,
    server="projector",
    address_flag="--projector-address",
    variable="ORDERES_PROJECTOR_ADDRESS",
    default_address=PROJECTOR_ADDRESS,
)


def projects(
    function: Callable[Concatenate[Projecting, P], None],
) -> Callable[P, None]:
    """Gives a subcommand the options of an operator, and its `Projecting`."""
    return operates(PROJECTOR, function)
