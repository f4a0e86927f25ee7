"""Commands as they are sent: each with a command_id, and with what is said of its handling."""

import secrets
import time
from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

from orderes.client.options import Handling
from orderes.client.values import duration_of
from orderes.v1.command_pb2 import WAIT_FOR_COMMITTED, CommandOptions
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    CancelOrderRequest,
    ChangeOrderLineQuantityRequest,
    CommandEnvelope,
    DeliverOrderRequest,
    PlaceOrderRequest,
    RecordPaymentRequest,
    RefundPaymentRequest,
    RemoveOrderLineRequest,
    ShipOrderRequest,
)

CommandRequest: TypeAlias = (
    PlaceOrderRequest
    | AddOrderLineRequest
    | RemoveOrderLineRequest
    | ChangeOrderLineQuantityRequest
    | RecordPaymentRequest
    | ShipOrderRequest
    | DeliverOrderRequest
    | CancelOrderRequest
    | RefundPaymentRequest
)

_COMMAND = "command"
_FIELDS: Mapping[str, str] = {
    field.message_type.full_name: field.name
    for field in CommandEnvelope.DESCRIPTOR.oneofs_by_name[_COMMAND].fields
    if field.message_type is not None  # For the type checker: they all have one.
}
"""The field of an envelope that a request belongs into."""

_CHANCE_BITS = 80
"""Of a UUIDv7, below the time; six of them are then fixed: RFC 9562, section 5.7."""
_FIXED_BITS = 0xF << 76 | 0b11 << 62
_VERSION_AND_VARIANT = 7 << 76 | 0b10 << 62


def new_command_id() -> str:
    """An idempotency key that nobody else has made: a UUIDv7, so that keys made one after the other
    lie together in the server's index.
    """
    milliseconds = time.time_ns() // 1_000_000
    number = milliseconds << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)
    return str(UUID(int=number & ~_FIXED_BITS | _VERSION_AND_VARIANT))


def command_options(given: Handling) -> CommandOptions:
    """What is said of the handling of a command, as a message."""
    options = CommandOptions(
        wait_for=given.get("wait_for", WAIT_FOR_COMMITTED),
        validate_only=given.get("validate_only", False),
    )
    if (lane := given.get("lane")) is not None:
        options.lane = lane
    if (seconds := given.get("max_wait_seconds")) is not None:
        options.max_wait.CopyFrom(duration_of("max_wait_seconds", seconds))
    return options


def envelope_of(command: CommandRequest | CommandEnvelope) -> CommandEnvelope:
    """A copy of the command in an envelope, with a command_id: its own, or a new one.

    Raises:
        ValueError: the envelope is empty.
    """
    envelope = CommandEnvelope()
    if isinstance(command, CommandEnvelope):
        envelope.CopyFrom(command)
    else:
        getattr(envelope, _FIELDS[command.DESCRIPTOR.full_name]).CopyFrom(command)
    request = request_in(envelope)
    request.command_id = request.command_id or new_command_id()
    return envelope


def request_in(envelope: CommandEnvelope) -> CommandRequest:
    """The command in an envelope.

    Raises:
        ValueError: there is none.
    """
    field = envelope.WhichOneof("command")
    if field is None:
        raise ValueError("the envelope has no command")
    request: CommandRequest = getattr(envelope, field)
    return request
