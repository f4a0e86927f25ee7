"""The values that travel through the house: commands in, events out, each in its envelope.

Frozen data from the standard library alone. Times are `Instant`s, integers that count microseconds
since 1970-01-01 UTC: they compare, store and travel without rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

Instant: TypeAlias = int
"""Microseconds since 1970-01-01T00:00:00 UTC."""

NO_STREAM = 0
"""The version of a stream that has no events yet."""


class StreamId(NamedTuple):
    """Names one stream: the events of one aggregate.

    The category keeps the streams of different aggregates apart, so that an id which a client chose
    for one thing can never reach the stream of another.
    """

    category: str
    key: str
    """UUID in its canonical form: 36 characters, lower case."""


class Lane(Enum):
    """A lane of the command queue, with a capacity and a share of the writer of its own."""

    CRITICAL = "critical"
    NORMAL = "normal"
    BULK = "bulk"


class Kind(Enum):
    """What sort of answer an error is. The edge maps each kind to one status of its protocol."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PRECONDITION = "precondition"
    CONFLICT = "conflict"
    OUT_OF_RANGE = "out_of_range"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    FAULT = "fault"


class CommandStage(Enum):
    """How far a command has come."""

    VALIDATED = "validated"
    """It would be committed; nothing is stored."""
    ACCEPTED = "accepted"
    """Stored, and waiting to be executed."""
    COMMITTED = "committed"
    REFUSED = "refused"
    FAILED = "failed"
    """Broken by a fault of ours and given up after its retries: a dead letter, until an operator
    retries or discards it."""
    DISCARDED = "discarded"
    """Given up for good by an operator."""


TERMINAL = frozenset(
    {CommandStage.COMMITTED, CommandStage.REFUSED, CommandStage.DISCARDED}
)
"""The stages that a stored command never leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Tells a repeated command from another command under the same id."""

    version: int
    """Which canonical form the digest was taken of."""
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where a message comes from. Kept with every command and every event of it."""

    correlation_id: str
    """The business flow that it belongs to."""
    causation_id: str = ""
    """What made it happen; for an event, the id of its command."""
    actor: str = ""
    """Who sent the command, from authentication; empty without it."""
    traceparent: str = ""
    """W3C trace context of the command; empty without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnvelope:
    """A well-formed command on its way to its handler."""

    command_id: str
    type: str
    stream: StreamId
    command: object
    """The domain's own frozen dataclass."""
    expected_version: int | None = None
    """The version that the stream must have for anything new to happen; None is any."""
    fingerprint: Fingerprint
    trace: Trace
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that was decided and encoded, and has no place in the log yet."""

    event_id: str
    """UUID in its canonical form."""
    type: str
    schema_version: int
    payload: str
    """JSON text."""
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEnvelope:
    """An event as the log holds it."""

    position: int
    """Place in the log, from 1 without a gap, in the order of commits."""
    event_id: str
    stream: StreamId
    stream_version: int
    """Place in its stream, from 1 without a gap."""
    type: str
    schema_version: int
    record_time: Instant
    """When it was stored. Never falls along the log."""
    payload: str
    """JSON text."""
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """An error as it is stored with its command, so that every retry gets the same one."""

    kind: Kind
    reason: str
    message: str
    rule: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """What is stored of a command: what every repeated call is answered from."""

    command_id: str
    type: str
    stream: StreamId
    fingerprint: Fingerprint
    stage: CommandStage
    lane: Lane
    trace: Trace
    accept_time: Instant
    complete_time: Instant = 0
    """When it reached a terminal stage, or FAILED; 0 while it is ACCEPTED."""
    attempts: int = 1
    """Executions that ended, or broke by a fault of ours, since it was accepted or an operator
    retried it."""
    stream_version: int = 0
    """Version of the stream after the command; 0 unless committed."""
    position: int = 0
    """Position of the newest event of the stream after the command; 0 unless committed."""
    event_count: int = 0
    error: ErrorRecord | None = None
    """Set when the stage is REFUSED, FAILED or DISCARDED, and only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The end of the log."""

    store_id: str
    """Which store this is: made with it, never changed."""
    position: int
    """Of the newest event; 0 for an empty log."""
    record_time: Instant
    """Of the newest event; 0 for an empty log."""
