"""The CommandService: requests to commands, outcomes to responses, and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc.aio

from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import CommandRequest, Delivery
from contexts.orders.wire.records import command_to_proto
from contexts.orders.wire.values import order_to_proto
from contexts.orders.write.batches import give_way, read_batch
from contexts.orders.write.requests import command_envelope, read_command, trace_of
from contexts.orders.write.results import command_result
from contexts.orders.write.streams import CommandExchange
from eventcore.command_gateway import CommandGateway, Outcome, Receipt
from eventcore.errors import EventCoreError, InvalidFields, StoredError
from eventcore.fields import FieldFaults
from eventcore.messages import CommandEnvelope
from eventcore.rpc.call import current_call
from eventcore.rpc.server import RpcService
from orderes.v1 import command_service_pb2 as pb2
from orderes.v1.command_service_pb2_grpc import (
    CommandServiceServicer,
    add_CommandServiceServicer_to_server,
)

SERVICE = pb2.DESCRIPTOR.services_by_name["CommandService"]

COMMAND_TYPES = tuple(
    field.message_type.name.removesuffix("Request")
    for field in pb2.CommandEnvelope.DESCRIPTOR.oneofs_by_name["command"].fields
    if field.message_type is not None  # For the type checker: they all have one.
)
"""The types of command that clients can send: a request is named like its command."""

ANSWER_MARGIN_SECONDS = 0.02
"""A wait ends this much before the caller's deadline, so that the answer still reaches it."""

DEADLINE_ROUNDING = 0.01
"""Share of a deadline by which it may be earlier than it looks: on the wire gRPC rounds it up, to
10 ms from 1 s on, and to 100 ms from 10 s on."""

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
        return await self._execute(request, pb2.PlaceOrderResponse, context)

    async def AddOrderLine(
        self, request: pb2.AddOrderLineRequest, context: Context
    ) -> pb2.AddOrderLineResponse:
        return await self._execute(request, pb2.AddOrderLineResponse, context)

    async def RemoveOrderLine(
        self, request: pb2.RemoveOrderLineRequest, context: Context
    ) -> pb2.RemoveOrderLineResponse:
        return await self._execute(request, pb2.RemoveOrderLineResponse, context)

    async def ChangeOrderLineQuantity(
        self, request: pb2.ChangeOrderLineQuantityRequest, context: Context
    ) -> pb2.ChangeOrderLineQuantityResponse:
        return await self._execute(
            request, pb2.ChangeOrderLineQuantityResponse, context
        )

    async def RecordPayment(
        self, request: pb2.RecordPaymentRequest, context: Context
    ) -> pb2.RecordPaymentResponse:
        return await self._execute(request, pb2.RecordPaymentResponse, context)

    async def ShipOrder(
        self, request: pb2.ShipOrderRequest, context: Context
    ) -> pb2.ShipOrderResponse:
        return await self._execute(request, pb2.ShipOrderResponse, context)

    async def DeliverOrder(
        self, request: pb2.DeliverOrderRequest, context: Context
    ) -> pb2.DeliverOrderResponse:
        return await self._execute(request, pb2.DeliverOrderResponse, context)

    async def CancelOrder(
        self, request: pb2.CancelOrderRequest, context: Context
    ) -> pb2.CancelOrderResponse:
        return await self._execute(request, pb2.CancelOrderResponse, context)

    async def RefundPayment(
        self, request: pb2.RefundPaymentRequest, context: Context
    ) -> pb2.RefundPaymentResponse:
        return await self._execute(request, pb2.RefundPaymentResponse, context)

    async def SubmitCommands(
        self, request: pb2.SubmitCommandsRequest, context: Context
    ) -> pb2.SubmitCommandsResponse:
        call = current_call()
        faults = FieldFaults(call.violations)
        commands, delivery = await read_batch(
            request, trace_of(call), faults, self._gateway.turned_away
        )
        faults.raise_if_any()
        envelopes = [
            command_envelope(command, delivery, new_order_id=self._new_order_id)
            for command in commands
        ]
        outcomes = await self._outcomes(envelopes, delivery, context)
        response = pb2.SubmitCommandsResponse()
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            await give_way(len(response.results))
            subject = {
                "command_id": envelope.command_id,
                "order_id": envelope.stream.key,
            }
            result = command_result(
                outcome, store_id=self._gateway.store_id, subject=subject, call=call
            )
            response.results.append(result)
        return response

    async def StreamCommands(
        self,
        request_iterator: AsyncIterator[pb2.StreamCommandsRequest],
        context: Context,
    ) -> AsyncIterator[pb2.StreamCommandsResponse]:
        call = current_call()
        FieldFaults(call.violations).raise_if_any()
        async with self._gateway.stream() as stream:
            exchange = CommandExchange(
                gateway=self._gateway,
                stream=stream,
                new_order_id=self._new_order_id,
                call=call,
            )
            async with aclosing(exchange.answers(request_iterator)) as answers:
                async for answer in answers:
                    yield answer

    async def GetCommand(
        self, request: pb2.GetCommandRequest, context: Context
    ) -> pb2.GetCommandResponse:
        faults = FieldFaults(current_call().violations)
        command_id = _command_id(request, faults)
        faults.raise_if_any()
        receipt = await self._gateway.find(command_id)
        command = command_to_proto(receipt.record, store_id=self._gateway.store_id)
        return pb2.GetCommandResponse(command=command)

    async def WaitCommand(
        self, request: pb2.WaitCommandRequest, context: Context
    ) -> pb2.WaitCommandResponse:
        faults = FieldFaults(current_call().violations)
        command_id = _command_id(request, faults)
        max_wait_seconds = wire.max_wait_seconds("max_wait", request, faults)
        faults.raise_if_any()
        receipt = await self._gateway.wait(
            command_id, wait_seconds=_wait_seconds(max_wait_seconds, context)
        )
        command = command_to_proto(receipt.record, store_id=self._gateway.store_id)
        return pb2.WaitCommandResponse(command=command)

    async def _execute(
        self, request: CommandRequest, response: Callable[..., R], context: Context
    ) -> R:
        """Answers with what became of one command, or fails as the command did."""
        envelope, delivery = self._envelope(request)
        receipt = await self._receipt(envelope, delivery, context)
        record = receipt.record
        current_call().subject["order_id"] = record.stream.key
        if record.error is not None:
            raise StoredError(record.error)
        return response(
            command=command_to_proto(
                record,
                store_id=self._gateway.store_id,
                deduplicated=receipt.deduplicated,
            ),
            order=None if receipt.view is None else order_to_proto(receipt.view),
        )

    def _envelope(self, request: CommandRequest) -> tuple[CommandEnvelope, Delivery]:
        """The command in its envelope, and how it is delivered.

        Raises:
            InvalidFields: it names every wrong field, those of the metadata among them.
        """
        call = current_call()
        faults = FieldFaults(call.violations)
        read = read_command(request, trace_of(call), faults)
        delivery = wire.delivery(request.options, faults)
        call.subject = read.subject
        if faults.violations:
            error = InvalidFields(faults.violations)
            self._gateway.turned_away(read.type, read.command_id, read.trace, error)
            raise error
        envelope = command_envelope(read, delivery, new_order_id=self._new_order_id)
        return envelope, delivery

    async def _receipt(
        self, envelope: CommandEnvelope, delivery: Delivery, context: Context
    ) -> Receipt:
        if not delivery.validate_only:
            return await self._gateway.execute(
                envelope,
                wait_seconds=_wait_seconds(delivery.max_wait_seconds, context),
                wait_for=delivery.wait_for,
            )
        (outcome,) = await self._gateway.validate([envelope])
        if isinstance(outcome, EventCoreError):
            raise outcome
        return outcome

    async def _outcomes(
        self, envelopes: list[CommandEnvelope], delivery: Delivery, context: Context
    ) -> list[Outcome]:
        if delivery.validate_only:
            return await self._gateway.validate(envelopes)
        return await self._gateway.execute_all(
            envelopes,
            wait_seconds=_wait_seconds(delivery.max_wait_seconds, context),
            wait_for=delivery.wait_for,
        )


def _command_id(
    request: pb2.GetCommandRequest | pb2.WaitCommandRequest, faults: FieldFaults
) -> str:
    """The command that the call is about."""
    command_id = faults.command_id("command_id", request.command_id)
    if command_id:
        current_call().subject["command_id"] = command_id
    return command_id


def _wait_seconds(max_wait_seconds: float, context: Context) -> float:
    """How long a call waits: as long as it asks for, and never past its deadline."""
    remaining = context.time_remaining()
    if remaining is None:
        return max_wait_seconds
    margin = ANSWER_MARGIN_SECONDS + DEADLINE_ROUNDING * remaining
    return min(max_wait_seconds, remaining - min(margin, remaining / 2))
