"""The WriteAdminService: what operators ask, and what they get to see, and nothing else."""

from typing import Any

import grpc.aio

from contexts.orders.wire import administration as wire
from eventcore.fields import FieldFaults
from eventcore.operators import Operator
from eventcore.rpc.call import current_call
from eventcore.rpc.server import RpcService
from eventcore.write_administration import WriteAdministration
from orderes.v1 import write_admin_service_pb2 as pb2
from orderes.v1.write_admin_service_pb2_grpc import (
    WriteAdminServiceServicer,
    add_WriteAdminServiceServicer_to_server,
)

SERVICE = pb2.DESCRIPTOR.services_by_name["WriteAdminService"]

Context = grpc.aio.ServicerContext[Any, Any]


class WriteAdminService(WriteAdminServiceServicer):
    """For operators of the write server."""

    def __init__(self, administration: WriteAdministration) -> None:
        self._administration = administration

    def hosted(self) -> RpcService:
        """The service as a server hosts it."""
        return RpcService(
            name=SERVICE.full_name,
            add=lambda server: add_WriteAdminServiceServicer_to_server(self, server),
            merges_violations=True,
        )

    async def GetWriteStatus(
        self, request: pb2.GetWriteStatusRequest, context: Context
    ) -> pb2.GetWriteStatusResponse:
        _faults().raise_if_any()
        return wire.status_to_proto(await self._administration.status())

    async def PauseExecution(
        self, request: pb2.PauseExecutionRequest, context: Context
    ) -> pb2.PauseExecutionResponse:
        faults = _faults()
        reason = wire.read_reason(request, faults)
        faults.raise_if_any()
        await self._administration.pause(reason, by=_operator(context))
        return pb2.PauseExecutionResponse()

    async def ResumeExecution(
        self, request: pb2.ResumeExecutionRequest, context: Context
    ) -> pb2.ResumeExecutionResponse:
        faults = _faults()
        reason = wire.read_reason(request, faults)
        faults.raise_if_any()
        await self._administration.resume(reason, by=_operator(context))
        return pb2.ResumeExecutionResponse()

    async def ListFailedCommands(
        self, request: pb2.ListFailedCommandsRequest, context: Context
    ) -> pb2.ListFailedCommandsResponse:
        faults = _faults()
        store_id = self._administration.store_id
        page = wire.read_failed_page(request, store_id, faults)
        faults.raise_if_any()
        # One more than is shown tells whether there is a next page.
        commands = await self._administration.failed(
            after=page.after, limit=page.page_size + 1
        )
        return wire.failed_page_to_proto(commands, page, store_id=store_id)

    async def RetryFailedCommands(
        self, request: pb2.RetryFailedCommandsRequest, context: Context
    ) -> pb2.RetryFailedCommandsResponse:
        faults = _faults()
        decision = wire.read_decision(request, faults)
        faults.raise_if_any()
        records = await self._administration.retry(
            decision.command_ids, reason=decision.reason, by=_operator(context)
        )
        store_id = self._administration.store_id
        return pb2.RetryFailedCommandsResponse(
            commands=wire.records_to_proto(records, store_id=store_id)
        )

    async def DiscardFailedCommands(
        self, request: pb2.DiscardFailedCommandsRequest, context: Context
    ) -> pb2.DiscardFailedCommandsResponse:
        faults = _faults()
        decision = wire.read_decision(request, faults)
        faults.raise_if_any()
        records = await self._administration.discard(
            decision.command_ids, reason=decision.reason, by=_operator(context)
        )
        store_id = self._administration.store_id
        return pb2.DiscardFailedCommandsResponse(
            commands=wire.records_to_proto(records, store_id=store_id)
        )


def _faults() -> FieldFaults:
    """Checks that go on from what is wrong with the metadata of the call."""
    return FieldFaults(current_call().violations)


def _operator(context: Context) -> Operator:
    return Operator(
        address=context.peer(), correlation_id=current_call().correlation_id
    )
