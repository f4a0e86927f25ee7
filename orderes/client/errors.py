"""What a call can fail with: the one tree of errors.

    OrderesError
    ├── InvalidFields          the request is malformed; every wrong field is named
    ├── CommandIdReused        the command_id belongs to a command of other content
    ├── OrderNotFound          there is no such order
    ├── OrderAlreadyExists     the order_id is taken
    ├── CommandNotFound        no such command is stored; one in flight may still come
    ├── VersionMismatch        the order has another version than the caller expects
    ├── RuleViolated           the order does not allow it
    ├── VersionOutOfRange      the order has not had that version, or the log that position
    ├── StoreMismatch          the position is of another store
    ├── CommandFailed          it broke by a fault of the server; an operator decides
    ├── CommandDiscarded       it broke, and an operator gave it up
    ├── CommandQueueFull       its lane is full; nothing is stored
    ├── TooManyCalls           too many calls are under way; nothing is stored
    ├── Unavailable            nobody answers
    │   ├── ShuttingDown       the server drains before it stops
    │   ├── StoreUnavailable   its database does not answer
    │   └── ProjectionLagging  the read model is not there yet
    ├── DeadlineExceeded       no answer came in time
    ├── CallReset              the call was ended, and not by its caller
    ├── InternalFault          a fault of the server
    ├── Unimplemented          the server does not know the method
    ├── ClientClosed           the client was closed while the call was under way
    ├── ProjectionNotFound     for operators: there is no such projection
    └── WrongProjectionState   for operators: the projection is in no state for that

What has no class of its own, because a proxy answered or a newer server, is an `OrderesError`.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

import grpc

from orderes.client.failure import Failure, FieldFault


class Outcome(Enum):
    """What is known of a command whose call failed."""

    REFUSED = "refused"
    """For good: repeated, it gets the same answer. A new attempt is a new command."""
    NOT_ACCEPTED = "not accepted"
    """Nothing of it is stored. It may be repeated, with the same command_id or a new one."""
    UNKNOWN = "unknown"
    """It may have happened, or may happen yet: repeat it with the same command_id, and only so."""


class OrderesError(Exception):
    """A call failed, or one command of several did.

    `outcome` is that of the whole call, whose attempts may have ended differently: a full queue is
    NOT_ACCEPTED, but not if an attempt before it was lost on the way.
    """

    outcome: Outcome = Outcome.UNKNOWN
    retryable: bool = False
    """Whether the same call may succeed later. The client has repeated it as long as it might."""

    def __init_subclass__(
        cls, *, reason: str = "", code: grpc.StatusCode | None = None
    ) -> None:
        """Registers a class for a reason of the contract, or for a code that came without one."""
        super().__init_subclass__()
        if reason:
            _OF_REASONS[reason] = cls
        if code is not None:
            _OF_CODES[code] = cls

    def __init__(
        self,
        failure: Failure,
        *,
        command_ids: Sequence[str] = (),
        correlation_id: str = "",
    ) -> None:
        """`command_ids` and `correlation_id` are what was sent."""
        super().__init__(failure)
        self.failure = failure
        told = failure.facts.get("command_id", "")
        self.command_ids = tuple(command_ids) or ((told,) if told else ())
        """Those of the call: with them it can be repeated."""
        self.correlation_id = failure.facts.get("correlation_id", correlation_id)
        """Under which the server's log tells more. Empty if none was sent and nobody answered."""

    def __str__(self) -> str:
        named = (
            ("command_id", self.command_id),
            ("correlation_id", self.correlation_id),
        )
        ids = "".join(f", {name} {value}" for name, value in named if value)
        return f"{self.reason or self.code.name}: {self.message}{ids}"

    @property
    def command_id(self) -> str:
        """Empty for what is about no command, or about several."""
        return self.command_ids[0] if len(self.command_ids) == 1 else ""

    @property
    def code(self) -> grpc.StatusCode:
        """The status."""
        return self.failure.code

    @property
    def reason(self) -> str:
        """As in "VERSION_MISMATCH"; empty where the answer is not the service's own."""
        return self.failure.reason

    @property
    def message(self) -> str:
        """For people, in English."""
        return self.failure.message

    @property
    def facts(self) -> Mapping[str, str]:
        """What a program may want to know, by name."""
        return self.failure.facts

    @property
    def retry_delay_seconds(self) -> float | None:
        """When to try again, as the server told; None if it did not."""
        pushback = self.failure.pushback_milliseconds
        if pushback is not None and pushback >= 0:
            return pushback / 1000
        return self.failure.retry_delay_seconds

    def _number(self, name: str) -> int:
        """A fact that is a whole number; 0 where it is missing."""
        text = self.facts.get(name, "")
        return int(text) if text.removeprefix("-").isdecimal() else 0


_OF_REASONS: dict[str, type[OrderesError]] = {}
_OF_CODES: dict[grpc.StatusCode, type[OrderesError]] = {}

REFUSING_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
"""Codes that say, also where the reason is not known here, that nothing was done. Any other leaves
open what was: RESOURCE_EXHAUSTED, say, also means that an answer is too large for its receiver."""


class InvalidFields(OrderesError, reason="INVALID_FIELDS"):
    """The request is malformed."""

    outcome = Outcome.REFUSED

    def __str__(self) -> str:
        said = super().__str__()
        faults = "; ".join(
            f"{each.field}: {each.description}" for each in self.violations
        )
        return f"{said} ({faults})" if faults else said

    @property
    def violations(self) -> tuple[FieldFault, ...]:
        """The wrong fields, at most 20."""
        return self.failure.field_faults

    @property
    def violations_total(self) -> int:
        """How many there are."""
        return self._number("violations_total") or len(self.violations)


class CommandIdReused(OrderesError, reason="COMMAND_ID_REUSED"):
    """The command_id was used for a command of other content."""

    outcome = Outcome.REFUSED


class OrderNotFound(OrderesError, reason="ORDER_NOT_FOUND"):
    """There is no such order; or, for a query that need not catch up, not yet."""

    outcome = Outcome.REFUSED

    @property
    def order_id(self) -> str:
        """The order."""
        return self.facts.get("order_id", "")


class OrderAlreadyExists(OrderesError, reason="ORDER_ALREADY_EXISTS"):
    """The order_id is taken."""

    outcome = Outcome.REFUSED

    @property
    def order_id(self) -> str:
        """The order."""
        return self.facts.get("order_id", "")


class CommandNotFound(OrderesError, reason="COMMAND_NOT_FOUND"):
    """No such command is stored. One in flight may still come: only repeating it settles that."""


class VersionMismatch(OrderesError, reason="VERSION_MISMATCH"):
    """The order has another version: read again, decide again, send a new command."""

    outcome = Outcome.REFUSED

    @property
    def expected_version(self) -> int:
        """What the command asked for."""
        return self._number("expected_version")

    @property
    def actual_version(self) -> int:
        """What the order had."""
        return self._number("actual_version")


class RuleViolated(OrderesError, reason="RULE_VIOLATED"):
    """The order does not allow it."""

    outcome = Outcome.REFUSED

    @property
    def rule(self) -> str:
        """As in "OVERPAYMENT"; what it compares is in `facts`."""
        return self.failure.rule or self.facts.get("rule", "")


class VersionOutOfRange(OrderesError, reason="VERSION_OUT_OF_RANGE"):
    """The order has not had that version, or the log that position."""

    outcome = Outcome.REFUSED


class StoreMismatch(OrderesError, reason="STORE_MISMATCH"):
    """The position is of another store: drop it."""

    outcome = Outcome.REFUSED

    @property
    def store_id(self) -> str:
        """The store that answered."""
        return self.facts.get("store_id", "")


class CommandFailed(OrderesError, reason="COMMAND_FAILED"):
    """The command broke by a fault of the server, and is kept for an operator.

    Its outcome is open as long as the operator can have it executed again: who sends it with a new
    command_id may have it done twice.
    """

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return self._number("attempts")


class CommandDiscarded(OrderesError, reason="COMMAND_DISCARDED"):
    """The command broke by a fault of the server, and an operator gave it up."""

    outcome = Outcome.REFUSED


class CommandQueueFull(OrderesError, reason="COMMAND_QUEUE_FULL"):
    """The lane is full, or the caller's time would pass in it."""

    outcome = Outcome.NOT_ACCEPTED
    retryable = True

    @property
    def lane(self) -> str:
        """As in "normal"."""
        return self.facts.get("lane", "")

    @property
    def depth(self) -> int:
        """Commands that hold a slot of the lane."""
        return self._number("depth")

    @property
    def capacity(self) -> int:
        """Slots of the lane."""
        return self._number("capacity")


class TooManyCalls(OrderesError, reason="TOO_MANY_CALLS"):
    """The connection, or the server, has too many calls under way."""

    outcome = Outcome.NOT_ACCEPTED
    retryable = True

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._number("limit")


class Unavailable(OrderesError, code=grpc.StatusCode.UNAVAILABLE):
    """Nobody answers, or the connection broke."""

    retryable = True


class ShuttingDown(Unavailable, reason="SHUTTING_DOWN"):
    """The server drains before it stops."""


class StoreUnavailable(Unavailable, reason="STORE_UNAVAILABLE"):
    """The database of the server does not answer."""


class ProjectionLagging(Unavailable, reason="PROJECTION_LAGGING"):
    """The read model has not what the query asks for, or is being made anew."""

    @property
    def min_position(self) -> int:
        """What was asked for; 0 where something else was."""
        return self._number("min_position")

    @property
    def position(self) -> int:
        """Where the read model is."""
        return self._number("position")


class DeadlineExceeded(OrderesError, code=grpc.StatusCode.DEADLINE_EXCEEDED):
    """No answer came in time."""


class CallReset(OrderesError, code=grpc.StatusCode.CANCELLED):
    """The call was ended by the server, or on the way, and not by its caller."""

    retryable = True


class InternalFault(OrderesError, reason="INTERNAL", code=grpc.StatusCode.INTERNAL):
    """A fault of the server, whose log tells more under the correlation_id."""

    retryable = True


class Unimplemented(OrderesError, code=grpc.StatusCode.UNIMPLEMENTED):
    """The server does not know the method: it is of another release, or another service."""

    outcome = Outcome.REFUSED


class ClientClosed(OrderesError):
    """The client was closed while the call was under way."""


class ProjectionNotFound(OrderesError, reason="PROJECTION_NOT_FOUND"):
    """There is no such projection."""

    outcome = Outcome.REFUSED


class WrongProjectionState(OrderesError, reason="WRONG_PROJECTION_STATE"):
    """The projection is in no state for what an operator asks."""

    outcome = Outcome.REFUSED


def error_from(
    failure: Failure, *, command_ids: Sequence[str] = (), correlation_id: str = ""
) -> OrderesError:
    """The error of a failure: the reason decides its class, and where that is not known here, the
    code.
    """
    made = _OF_REASONS.get(failure.reason) or _OF_CODES.get(failure.code, OrderesError)
    error = made(failure, command_ids=command_ids, correlation_id=correlation_id)
    if made is OrderesError and failure.code in REFUSING_CODES:
        error.outcome = Outcome.REFUSED
    if made is OrderesError and _asks_to_come_back(failure):
        error.retryable = True
    return error


def _asks_to_come_back(failure: Failure) -> bool:
    """Whether a reason that is not known here is of a load that passes.

    Without a reason and a delay it may be the library's own: a message that is too large stays so.
    """
    return (
        failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        and failure.reason != ""
        and failure.retry_delay_seconds is not None
    )
