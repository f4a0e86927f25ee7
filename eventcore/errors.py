"""The one tree of errors.

    EventCoreError
    ├── InvalidFields          the request is malformed; every wrong field is named
    ├── Refusal                the domain says no; stored with the command
    │   └── VersionMismatch    the stream has moved on from the version that the caller expects
    ├── CommandIdReused        the id belongs to a command of other content
    ├── CommandNotFound        no such command is stored
    ├── CommandQueueFull       no room; nothing is stored
    ├── TooManyCalls           a connection, or the server, has too many calls under way
    ├── StoredError            the error that is stored with a command
    ├── ShuttingDown           the server drains
    ├── StoreUnavailable       the database does not answer
    │   └── StoreBroken        it failed in a way that only a restart can judge
    │       └── StoreReplaced  its file is no longer the one that was opened
    ├── StoreMismatch          a position of another store
    ├── ProjectionLagging      the read model is not what was asked for, yet
    │   ├── PositionNotReached     it is not at the position yet
    │   ├── TooStale               it is older than it may be
    │   └── ProjectionRebuilding   it is being made, and there is nothing to answer from yet
    ├── OutOfRange             a version or a position that there has not been
    ├── ProjectionNotFound     no such projection
    ├── WrongProjectionState   a projection is in no state for what an operator asks
    ├── StreamConflict         an append lost: the stream has another version
    ├── CommandIdTaken         an insert lost: the id is in the journal
    ├── CheckpointMoved        the checkpoint is not where it was left
    ├── LeaseLost              another projector has the projection
    ├── GenerationBehind       a generation is not as far as the one that it is to replace
    ├── CorruptLog             the log contradicts itself
    ├── UnknownEvent           an event of a type or version that this code does not know
    ├── MalformedEvent         an event whose payload is not of its schema
    └── StartFailed            a process cannot start; the message says what to do

Facts are attributes; `kind`, `reason` and `facts` are what an edge needs to answer in its own
protocol. The message is for people and never holds anything internal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eventcore.messages import ErrorRecord, Kind, Lane, StreamId

FIELDS_SHOWN_MAX = 5
"""Fields that the message of `InvalidFields` names; its violations are all of them."""


class EventCoreError(Exception):
    """An error that the house knows."""

    kind: Kind = Kind.FAULT
    reason: str = "INTERNAL"
    retry_delay_seconds: float | None = None
    """How long to wait before the same call may succeed; None where waiting does not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def facts(self) -> Mapping[str, str]:
        """What a program may want to know, by name."""
        return {}


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong, and what would be right."""

    field: str
    """Path in the request, as in "lines[3].quantity"."""
    description: str


class InvalidFields(EventCoreError):
    """The request is malformed."""

    kind = Kind.INVALID
    reason = "INVALID_FIELDS"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        shown = ", ".join(fault.field for fault in violations[:FIELDS_SHOWN_MAX])
        rest = len(violations) - FIELDS_SHOWN_MAX
        more = f" and {rest} more" if rest > 0 else ""
        super().__init__(f"invalid fields: {shown}{more}")
        self.violations = tuple(violations)


class Refusal(EventCoreError):
    """The domain says no. It is an answer, not a fault: it is stored with the command."""

    def __init__(
        self,
        *,
        kind: Kind,
        reason: str,
        message: str,
        rule: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.rule = rule
        self._facts = dict(facts or {})

    @property
    def facts(self) -> Mapping[str, str]:
        return self._facts

    def record(self) -> ErrorRecord:
        """The refusal as data."""
        return ErrorRecord(
            kind=self.kind,
            reason=self.reason,
            message=self.message,
            rule=self.rule,
            facts=self._facts,
        )


class VersionMismatch(Refusal):
    """The stream has moved on from the version that the caller expects."""

    def __init__(self, *, expected: int, actual: int) -> None:
        super().__init__(
            kind=Kind.CONFLICT,
            reason="VERSION_MISMATCH",
            message=f"expected version {expected}, but it is {actual}: read again, "
            "decide again and send a new command",
            facts={"expected_version": str(expected), "actual_version": str(actual)},
        )
        self.expected = expected
        self.actual = actual


class CommandIdReused(EventCoreError):
    """The command_id was used for a command of other content."""

    kind = Kind.ALREADY_EXISTS
    reason = "COMMAND_ID_REUSED"

    def __init__(self, command_id: str) -> None:
        super().__init__(
            f"command_id {command_id} was used for a command of other content: "
            "choose a new command_id"
        )
        self.command_id = command_id


class CommandNotFound(EventCoreError):
    """No such command is stored."""

    kind = Kind.NOT_FOUND
    reason = "COMMAND_NOT_FOUND"

    def __init__(self, command_id: str) -> None:
        super().__init__(
            f"no command {command_id} is stored; one in flight may still come: "
            "repeat the command to settle it"
        )
        self.command_id = command_id


class CommandQueueFull(EventCoreError):
    """The lane is full, or the caller's time would pass in it. Nothing is stored."""

    kind = Kind.EXHAUSTED
    reason = "COMMAND_QUEUE_FULL"

    def __init__(
        self,
        message: str,
        *,
        lane: Lane,
        depth: int,
        capacity: int,
        retry_delay_seconds: float,
    ) -> None:
        super().__init__(message)
        self.lane = lane
        self.depth = depth
        self.capacity = capacity
        self.retry_delay_seconds = retry_delay_seconds

    @property
    def facts(self) -> Mapping[str, str]:
        return {
            "lane": self.lane.value,
            "depth": str(self.depth),
            "capacity": str(self.capacity),
        }


class TooManyCalls(EventCoreError):
    """There are as many calls under way as there may be. Nothing of this one was done."""

    kind = Kind.EXHAUSTED
    reason = "TOO_MANY_CALLS"
    retry_delay_seconds = 1.0

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit

    @property
    def facts(self) -> Mapping[str, str]:
        return {"limit": str(self.limit)}


class StoredError(EventCoreError):
    """An error that is stored with a command, and is the answer to whoever asks for it."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record.message)
        self.kind = record.kind
        self.reason = record.reason
        self.rule = record.rule
        self._facts = record.facts

    @property
    def facts(self) -> Mapping[str, str]:
        return self._facts


class ShuttingDown(EventCoreError):
    """The server drains before it stops."""

    kind = Kind.UNAVAILABLE
    reason = "SHUTTING_DOWN"
    retry_delay_seconds = 1.0

    def __init__(self) -> None:
        super().__init__(
            "the server is shutting down: repeat the call, a command with the same command_id"
        )


class StoreUnavailable(EventCoreError):
    """The database does not answer; what became of the command is not known."""

    kind = Kind.UNAVAILABLE
    reason = "STORE_UNAVAILABLE"
    retry_delay_seconds = 1.0

    def __init__(
        self, message: str = "the store does not answer: retry the same call"
    ) -> None:
        super().__init__(message)


class StoreBroken(StoreUnavailable):
    """The store failed in a way after which only what is on disk can be trusted.

    The process that owns the store stops answering and exits; its restart reads the truth.
    """

    def __init__(
        self,
        message: str = "the store has failed; what became of the call is not known: retry it",
    ) -> None:
        super().__init__(message)


class StoreReplaced(StoreBroken):
    """The file of the store was removed, or another one stands in its place."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __str__(self) -> str:
        return (
            f"{self.path} was removed or replaced while it was open: this process ends, so "
            "that it uses what is there when it is started again"
        )


class StoreMismatch(EventCoreError):
    """The position is of another store."""

    kind = Kind.PRECONDITION
    reason = "STORE_MISMATCH"

    def __init__(self, *, given: str, actual: str) -> None:
        super().__init__(
            "the store_id is of another store: drop the positions that came with it"
        )
        self.given = given
        self.actual = actual

    @property
    def facts(self) -> Mapping[str, str]:
        return {"store_id": self.actual}


class ProjectionLagging(EventCoreError):
    """The read model is not what was asked for, yet."""

    kind = Kind.UNAVAILABLE
    reason = "PROJECTION_LAGGING"

    def __init__(
        self, message: str, *, facts: Mapping[str, str], retry_delay_seconds: float
    ) -> None:
        super().__init__(message)
        self._facts = dict(facts)
        self.retry_delay_seconds = retry_delay_seconds

    @property
    def facts(self) -> Mapping[str, str]:
        return self._facts


class PositionNotReached(ProjectionLagging):
    """The read model is not at the position yet that was asked for."""

    def __init__(
        self, *, min_position: int, position: int, retry_delay_seconds: float
    ) -> None:
        super().__init__(
            f"the read model is at position {position}, not yet at {min_position}: retry",
            facts={"min_position": str(min_position), "position": str(position)},
            retry_delay_seconds=retry_delay_seconds,
        )
        self.min_position = min_position
        self.position = position


class TooStale(ProjectionLagging):
    """The read model is older than it may be."""

    def __init__(
        self,
        *,
        max_staleness_seconds: float,
        lag_seconds: float,
        position: int,
        retry_delay_seconds: float,
    ) -> None:
        super().__init__(
            f"the read model was last known to be complete {lag_seconds:.1f} s ago, not "
            f"within the last {max_staleness_seconds:g} s: retry",
            facts={
                "max_staleness_seconds": f"{max_staleness_seconds:g}",
                "lag_seconds": f"{lag_seconds:.1f}",
                "position": str(position),
            },
            retry_delay_seconds=retry_delay_seconds,
        )
        self.max_staleness_seconds = max_staleness_seconds
        self.lag_seconds = lag_seconds


class ProjectionRebuilding(ProjectionLagging):
    """The read model is being made for this release, and there is nothing to answer from yet."""

    retry_delay_seconds = 1.0

    def __init__(self, projection: str, *, position: int, head_position: int) -> None:
        super().__init__(
            f"the read model {projection} is being made for this release: it is at position "
            f"{position} of {head_position}; retry",
            facts={
                "projection": projection,
                "position": str(position),
                "head_position": str(head_position),
            },
            retry_delay_seconds=self.retry_delay_seconds,
        )


class OutOfRange(EventCoreError):
    """A version or a position that there has not been."""

    kind = Kind.OUT_OF_RANGE
    reason = "VERSION_OUT_OF_RANGE"

    def __init__(self, message: str, *, facts: Mapping[str, str]) -> None:
        super().__init__(message)
        self._facts = dict(facts)

    @property
    def facts(self) -> Mapping[str, str]:
        return self._facts


class ProjectionNotFound(EventCoreError):
    """No such projection."""

    kind = Kind.NOT_FOUND
    reason = "PROJECTION_NOT_FOUND"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"no such projection: there are {', '.join(names)}")
        self.names = tuple(names)

    @property
    def facts(self) -> Mapping[str, str]:
        return {"projections": ",".join(self.names)}


class WrongProjectionState(EventCoreError):
    """A projection is in no state for what an operator asks. The message says what to do."""

    kind = Kind.PRECONDITION
    reason = "WRONG_PROJECTION_STATE"


class StreamConflict(EventCoreError):
    """An append lost: the stream has another version than the one expected."""

    kind = Kind.CONFLICT
    reason = "VERSION_MISMATCH"

    def __init__(self, streams: Sequence[StreamId] = ()) -> None:
        super().__init__("a stream has another version than the append expects")
        self.streams = tuple(streams)


class CommandIdTaken(EventCoreError):
    """An insert lost: a command_id is in the journal already."""

    kind = Kind.ALREADY_EXISTS
    reason = "COMMAND_ID_REUSED"

    def __init__(self) -> None:
        super().__init__("a command_id is in the journal already")


class CheckpointMoved(EventCoreError):
    """The checkpoint is not where this projector left it."""

    def __init__(self, projection: str, generation: int, *, expected: int) -> None:
        super().__init__(
            f"the checkpoint of {projection}, generation {generation}, is not at {expected}, or "
            "the generation was given up"
        )
        self.projection = projection
        self.generation = generation
        self.expected = expected


class LeaseLost(EventCoreError):
    """Another projector has the projection, or it was given up: this one may not change it."""

    def __init__(self, projection: str, *, epoch: int) -> None:
        super().__init__(f"{projection} is no longer held under epoch {epoch}")
        self.projection = projection
        self.epoch = epoch


class GenerationBehind(EventCoreError):
    """A generation is not as far as one that queries were answered from: with it they would go back
    in time.
    """

    def __init__(
        self, projection: str, generation: int, *, position: int, served_position: int
    ) -> None:
        super().__init__(
            f"generation {generation} of {projection} is at position {position}, what serves is "
            f"at {served_position}"
        )
        self.projection = projection
        self.position = position
        self.served_position = served_position


class CorruptLog(EventCoreError):
    """The log contradicts itself: a hole, or an event that is not the one it was."""

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position
        """Of the event that is missing; None where something else is wrong."""


class UnknownEvent(EventCoreError):
    """An event of a type or a schema version that this code does not know."""

    def __init__(
        self,
        *,
        event_id: str,
        type: str,  # noqa: A002
        schema_version: int,
        position: int,
    ) -> None:
        super().__init__(
            f"event {event_id} at position {position}, {type} version {schema_version}, is "
            "unknown to this code: run the release that wrote it, or a newer one"
        )
        self.event_id = event_id
        self.type = type
        self.schema_version = schema_version
        self.position = position


class MalformedEvent(EventCoreError):
    """An event whose payload is not of its schema: no release of ours has written it so."""

    def __init__(
        self,
        *,
        event_id: str,
        type: str,  # noqa: A002
        schema_version: int,
        position: int,
    ) -> None:
        super().__init__(
            f"event {event_id} at position {position} is no {type} of version "
            f"{schema_version}: its payload is not what that version holds; put back a "
            "write store that has it as it was written"
        )
        self.event_id = event_id
        self.type = type
        self.schema_version = schema_version
        self.position = position


class StartFailed(EventCoreError):
    """A process cannot start. The message says why and what to do."""
