"""The CommandService: requests to commands, outcomes to responses, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import grpc.aio

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.fingerprint import fingerprint
from contexts.orders.wire import commands as wire
from contexts.orders.wire.records import command_to_proto
from contexts.orders.wire.values import order_to_proto
from eventcore.command_gateway import CommandGateway
from eventcore.errors import InvalidFields, Refusal
from eventcore.fields import FieldFaults
from eventcore.messages import CommandEnvelope, StreamId, Trace
from eventcore.rpc.call import current_call
from eventcore.rpc.server import RpcService
from orderes.v1 import command_service_pb2 as pb2
from orderes.v1.command_service_pb2_grpc import (
    CommandServiceServicer,
    add_CommandServiceServicer_to_server,
)

SERVICE = pb2.DESCRIPTOR.services_by_name["CommandService"]

COMMAND_TYPES = tuple(
    method.name for method in SERVICE.methods if method.name != "GetCommand"
)
"""The types of command that clients can send: an RPC is named like its command."""

ANSWER_MARGIN_SECONDS = 0.02
"""A wait ends this much before the caller's deadline, so that the answer still reaches it."""

Context = grpc.aio.ServicerContext[Any, Any]
R = TypeVar("R")


class CommandService(CommandServiceServicer):
    """Changes orders."""

    def __init__(
        self, *, gateway: CommandGateway, new_order_id: Callable[[], str]
    ) -> None:
        self._gateway = gateway
        self._new_order_id = new_order_id

    def hosted(self) -> RpcService:
        """The service as a server hosts it."""
        return RpcService(
            name=SERVICE.full_name,
            add=lambda server: add_CommandServiceServicer_to_server(self, server),
            merges_violations=True,
        )

    async def PlaceOrder(
        self, request: pb2.PlaceOrderRequest, context: Context
    ) -> pb2.PlaceOrderResponse:
        return await self._execute(
            wire.place_order, request, pb2.PlaceOrderResponse, context
        )

    async def AddOrderLine(
        self, request: pb2.AddOrderLineRequest, context: Context
    ) -> pb2.AddOrderLineResponse:
        return await self._execute(
            wire.add_order_line, request, pb2.AddOrderLineResponse, context
        )

    async def RemoveOrderLine(
        self, request: pb2.RemoveOrderLineRequest, context: Context
    ) -> pb2.RemoveOrderLineResponse:
        return await self._execute(
            wire.remove_order_line, request, pb2.RemoveOrderLineResponse, context
        )

    async def ChangeOrderLineQuantity(
        self, request: pb2.ChangeOrderLineQuantityRequest, context: Context
    ) -> pb2.ChangeOrderLineQuantityResponse:
        return await self._execute(
            wire.change_order_line_quantity,
            request,
            pb2.ChangeOrderLineQuantityResponse,
            context,
        )

    async def RecordPayment(
        self, request: pb2.RecordPaymentRequest, context: Context
    ) -> pb2.RecordPaymentResponse:
        return await self._execute(
            wire.record_payment, request, pb2.RecordPaymentResponse, context
        )

    async def ShipOrder(
        self, request: pb2.ShipOrderRequest, context: Context
    ) -> pb2.ShipOrderResponse:
        return await self._execute(
            wire.ship_order, request, pb2.ShipOrderResponse, context
        )

    async def DeliverOrder(
        self, request: pb2.DeliverOrderRequest, context: Context
    ) -> pb2.DeliverOrderResponse:
        return await self._execute(
            wire.deliver_order, request, pb2.DeliverOrderResponse, context
        )

    async def CancelOrder(
        self, request: pb2.CancelOrderRequest, context: Context
    ) -> pb2.CancelOrderResponse:
        return await self._execute(
            wire.cancel_order, request, pb2.CancelOrderResponse, context
        )

    async def RefundPayment(
        self, request: pb2.RefundPaymentRequest, context: Context
    ) -> pb2.RefundPaymentResponse:
        return await self._execute(
            wire.refund_payment, request, pb2.RefundPaymentResponse, context
        )

    async def GetCommand(
        self, request: pb2.GetCommandRequest, context: Context
    ) -> pb2.GetCommandResponse:
        call = current_call()
        faults = FieldFaults(call.violations)
        command_id = faults.command_id("command_id", request.command_id)
        call.subject["command_id"] = command_id
        faults.raise_if_any()
        receipt = await self._gateway.find(command_id)
        command = command_to_proto(
            receipt.record, store_id=self._gateway.store_id, deduplicated=False
        )
        return pb2.GetCommandResponse(command=command)

    async def _execute(
        self,
        read: Callable[[Any, FieldFaults], OrderCommand],
        request: Any,
        response: Callable[..., R],
        context: Context,
    ) -> R:
        call = current_call()
        trace = Trace(
            correlation_id=call.correlation_id,
            causation_id=call.causation_id,
            traceparent=call.traceparent,
        )
        try:
            envelope, wait_seconds = self._envelope(read, request, trace)
        except InvalidFields as error:
            command_type = request.DESCRIPTOR.name.removesuffix("Request")
            command_id = call.subject.get("command_id", "")
            self._gateway.turned_away(command_type, command_id, trace, error)
            raise
        remaining = context.time_remaining()
        if remaining is not None:
            margin = min(ANSWER_MARGIN_SECONDS, remaining / 2)
            wait_seconds = min(wait_seconds, remaining - margin)
        receipt = await self._gateway.execute(envelope, wait_seconds=wait_seconds)
        record = receipt.record
        call.subject["order_id"] = record.stream.key
        if record.refusal is not None:
            raise Refusal.of(record.refusal)
        return response(
            command=command_to_proto(
                record,
                store_id=self._gateway.store_id,
                deduplicated=receipt.deduplicated,
            ),
            order=order_to_proto(receipt.view),
        )

    def _envelope(
        self,
        read: Callable[[Any, FieldFaults], OrderCommand],
        request: Any,
        trace: Trace,
    ) -> tuple[CommandEnvelope, float]:
        """The command in its envelope, and how long its caller waits.

        Raises:
            InvalidFields: it names every wrong field, those of the metadata among them.
        """
        call = current_call()
        faults = FieldFaults(call.violations)
        command_id = faults.command_id("command_id", request.command_id)
        command = read(request, faults)
        expected_version = wire.expected_version(request, faults)
        delivery = wire.delivery(request.options, faults)
        call.subject = {
            name: value
            for name, value in (
                ("command_id", command_id),
                ("order_id", command.order_id),
            )
            if value
        }
        faults.raise_if_any()
        command_type = type(command).__name__
        # A retry is known by what its client has sent, not by what the server adds to it.
        content = fingerprint(command_type, command, expected_version)
        if not command.order_id:
            command = replace(command, order_id=self._new_order_id())
        envelope = CommandEnvelope(
            command_id=command_id,
            type=command_type,
            stream=StreamId(ORDER_CATEGORY, command.order_id),
            command=command,
            expected_version=expected_version,
            fingerprint=content,
            trace=trace,
            lane=delivery.lane or wire.default_lane(command),
        )
        return envelope, delivery.max_wait_seconds
