"""The ProjectionAdminService: what operators ask, and what they get to see, and nothing else."""

from typing import Any

import grpc.aio

from contexts.orders.wire import projections as wire
from eventcore.fields import FieldFaults
from eventcore.operators import Operator
from eventcore.projection_administration import ProjectionAdministration
from eventcore.rpc.call import current_call
from eventcore.rpc.server import RpcService
from orderes.v1 import projection_admin_service_pb2 as pb2
from orderes.v1.projection_admin_service_pb2_grpc import (
    ProjectionAdminServiceServicer,
    add_ProjectionAdminServiceServicer_to_server,
)

SERVICE = pb2.DESCRIPTOR.services_by_name["ProjectionAdminService"]

Context = grpc.aio.ServicerContext[Any, Any]


class ProjectionAdminService(ProjectionAdminServiceServicer):
    """For operators of the projector."""

    def __init__(self, administration: ProjectionAdministration) -> None:
        self._administration = administration

    def hosted(self) -> RpcService:
        """The service as a server hosts it."""
        return RpcService(
            name=SERVICE.full_name,
            add=lambda server: add_ProjectionAdminServiceServicer_to_server(
                self, server
            ),
            merges_violations=True,
        )

    async def ListProjections(
        self, request: pb2.ListProjectionsRequest, context: Context
    ) -> pb2.ListProjectionsResponse:
        _faults().raise_if_any()
        statuses = await self._administration.projections()
        return pb2.ListProjectionsResponse(
            projections=map(wire.projection_to_proto, statuses)
        )

    async def PauseProjection(
        self, request: pb2.PauseProjectionRequest, context: Context
    ) -> pb2.PauseProjectionResponse:
        name, reason = _change(request)
        status = await self._administration.pause(name, reason, by=_operator(context))
        return pb2.PauseProjectionResponse(projection=wire.projection_to_proto(status))

    async def ResumeProjection(
        self, request: pb2.ResumeProjectionRequest, context: Context
    ) -> pb2.ResumeProjectionResponse:
        faults = _faults()
        name, reason = wire.read_change(request, faults)
        skip_position = faults.integer(
            "skip_position", request.skip_position, minimum=0
        )
        faults.raise_if_any()
        status = await self._administration.resume(
            name, reason, skip_position=skip_position, by=_operator(context)
        )
        return pb2.ResumeProjectionResponse(projection=wire.projection_to_proto(status))

    async def RebuildProjection(
        self, request: pb2.RebuildProjectionRequest, context: Context
    ) -> pb2.RebuildProjectionResponse:
        name, reason = _change(request)
        status = await self._administration.rebuild(name, reason, by=_operator(context))
        return pb2.RebuildProjectionResponse(
            projection=wire.projection_to_proto(status)
        )

    async def CancelRebuild(
        self, request: pb2.CancelRebuildRequest, context: Context
    ) -> pb2.CancelRebuildResponse:
        name, reason = _change(request)
        status = await self._administration.cancel_rebuild(
            name, reason, by=_operator(context)
        )
        return pb2.CancelRebuildResponse(projection=wire.projection_to_proto(status))

    async def RollBackProjection(
        self, request: pb2.RollBackProjectionRequest, context: Context
    ) -> pb2.RollBackProjectionResponse:
        name, reason = _change(request)
        status = await self._administration.roll_back(
            name, reason, by=_operator(context)
        )
        return pb2.RollBackProjectionResponse(
            projection=wire.projection_to_proto(status)
        )


def _change(request: wire.Change) -> tuple[str, str]:
    """Which projection is changed, and why.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    faults = _faults()
    name, reason = wire.read_change(request, faults)
    faults.raise_if_any()
    return name, reason


def _faults() -> FieldFaults:
    """Checks that go on from what is wrong with the metadata of the call."""
    return FieldFaults(current_call().violations)


def _operator(context: Context) -> Operator:
    return Operator(
        address=context.peer(), correlation_id=current_call().correlation_id
    )
