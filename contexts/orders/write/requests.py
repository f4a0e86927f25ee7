"""Requests, alone or in an envelope of a batch or a stream, as commands on their way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.fingerprint import fingerprint
from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import CommandRequest, Delivery
from eventcore.fields import FieldFaults
from eventcore.messages import CommandEnvelope, StreamId, Trace
from eventcore.rpc.call import TRACE_ID, TRACE_ID_FORM, Call
from orderes.v1 import command_service_pb2 as pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCommand:
    """What a request says. It is a command only if the checks have found no fault."""

    command_id: str
    command: OrderCommand
    expected_version: int | None
    trace: Trace

    @property
    def type(self) -> str:
        """The name of the command's type."""
        return type(self.command).__name__

    @property
    def subject(self) -> dict[str, str]:
        """What the command is about, by name, as far as it is known."""
        ids = {"command_id": self.command_id, "order_id": self.command.order_id}
        return {name: value for name, value in ids.items() if value}


def trace_of(call: Call) -> Trace:
    """Where a call comes from."""
    return Trace(
        correlation_id=call.correlation_id,
        causation_id=call.causation_id,
        traceparent=call.traceparent,
    )


def read_command(
    request: CommandRequest, trace: Trace, faults: FieldFaults
) -> ReadCommand:
    """What a request says, but for its options."""
    return ReadCommand(
        command_id=faults.command_id("command_id", request.command_id),
        command=wire.order_command(request, faults),
        expected_version=wire.expected_version(request, faults),
        trace=trace,
    )


def request_in(message: pb2.CommandEnvelope) -> CommandRequest | None:
    """The request in an envelope; None for an empty one."""
    name = message.WhichOneof("command")
    if name is None:
        return None
    request: CommandRequest = getattr(message, name)
    return request


def read_trace(
    message: pb2.CommandEnvelope, trace: Trace, faults: FieldFaults
) -> Trace:
    """Where a command in an envelope comes from: from where its call does, unless it says more."""
    if not message.correlation_id and not message.causation_id:
        return trace
    correlation_id = _trace_id("correlation_id", message.correlation_id, faults)
    causation_id = _trace_id("causation_id", message.causation_id, faults)
    return replace(
        trace,
        correlation_id=correlation_id or trace.correlation_id,
        causation_id=causation_id or trace.causation_id,
    )


def command_envelope(
    read: ReadCommand, delivery: Delivery, *, new_order_id: Callable[[], str]
) -> CommandEnvelope:
    """A command in its envelope. Nothing of it was at fault."""
    command = read.command
    # A retry is known by what its client has sent, not by what the server adds to it.
    content = fingerprint(read.type, command, read.expected_version)
    if not command.order_id:
        command = replace(command, order_id=new_order_id())
    return CommandEnvelope(
        command_id=read.command_id,
        type=read.type,
        stream=StreamId(ORDER_CATEGORY, command.order_id),
        command=command,
        expected_version=read.expected_version,
        fingerprint=content,
        trace=read.trace,
        lane=delivery.lane or wire.default_lane(command),
    )


def _trace_id(field: str, value: str, faults: FieldFaults) -> str:
    if not value:
        return ""
    return faults.matching(field, value, TRACE_ID, wanted=TRACE_ID_FORM)
