"""The client for services in Python: typed calls, deadlines, retries, reading one's own writes."""

from orderes.client.client import READ_ADDRESS, WRITE_ADDRESS, Client
from orderes.client.command_stream import CommandStreamAnswer
from orderes.client.envelopes import CommandRequest, new_command_id
from orderes.client.errors import (
    CallReset,
    ClientClosed,
    CommandDiscarded,
    CommandFailed,
    CommandIdReused,
    CommandNotFound,
    CommandQueueFull,
    DeadlineExceeded,
    InternalFault,
    InvalidFields,
    OrderAlreadyExists,
    OrderesError,
    OrderNotFound,
    Outcome,
    ProjectionLagging,
    ProjectionNotFound,
    RuleViolated,
    ShuttingDown,
    StoreMismatch,
    StoreUnavailable,
    TooManyCalls,
    Unavailable,
    Unimplemented,
    VersionMismatch,
    VersionOutOfRange,
    WrongProjectionState,
)
from orderes.client.failure import FieldFault
from orderes.client.positions import Position
from orderes.client.results import error_of
from orderes.client.retrying import RetryPolicy
from orderes.client.watch import Watch

__all__ = [
    "READ_ADDRESS",
    "WRITE_ADDRESS",
    "CallReset",
    "Client",
    "ClientClosed",
    "CommandDiscarded",
    "CommandFailed",
    "CommandIdReused",
    "CommandNotFound",
    "CommandQueueFull",
    "CommandRequest",
    "CommandStreamAnswer",
    "DeadlineExceeded",
    "FieldFault",
    "InternalFault",
    "InvalidFields",
    "OrderAlreadyExists",
    "OrderNotFound",
    "OrderesError",
    "Outcome",
    "Position",
    "ProjectionLagging",
    "ProjectionNotFound",
    "RetryPolicy",
    "RuleViolated",
    "ShuttingDown",
    "StoreMismatch",
    "StoreUnavailable",
    "TooManyCalls",
    "Unavailable",
    "Unimplemented",
    "VersionMismatch",
    "VersionOutOfRange",
    "Watch",
    "WrongProjectionState",
    "error_of",
    "new_command_id",
]
