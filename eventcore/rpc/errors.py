"""The one place where an error becomes a status of gRPC, with its details.

    Kind            status                  details beside ErrorInfo
    INVALID         INVALID_ARGUMENT        BadRequest
    NOT_FOUND       NOT_FOUND
    ALREADY_EXISTS  ALREADY_EXISTS
    PRECONDITION    FAILED_PRECONDITION     PreconditionFailure, if a rule refused
    CONFLICT        ABORTED
    OUT_OF_RANGE    OUT_OF_RANGE
    EXHAUSTED       RESOURCE_EXHAUSTED      RetryInfo
    UNAVAILABLE     UNAVAILABLE             RetryInfo
    FAULT           INTERNAL                (nothing of the error itself, unless it is stored)

RetryInfo, and the trailer grpc-retry-pushback-ms with the same delay, come with every error that
says how long to wait. Client libraries honour only the trailer.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from eventcore.errors import (
    EventCoreError,
    FieldViolation,
    InvalidFields,
    Refusal,
    StoredError,
)
from eventcore.messages import ErrorRecord, Kind
from eventcore.rpc.call import CORRELATION_ID, Call

STATUS_DETAILS = "grpc-status-details-bin"
RETRY_PUSHBACK = "grpc-retry-pushback-ms"

MESSAGE_BYTES_MAX = 512
"""In UTF-8; on the wire each byte outside ASCII takes three."""
VIOLATIONS_MAX = 20
DETAILS_BYTES_MAX = 4096
"""Of the whole google.rpc.Status: clients take 8 KiB of trailers, in base64, by default."""
METADATA_BYTES_MAX = 2048
"""Of ErrorInfo.metadata; with a message and a PreconditionFailure it stays within the details."""
VALUE_BYTES_MAX = 256
"""Of one value of ErrorInfo.metadata, or of one text of a violation."""
RETRY_DELAY_SECONDS_MAX = 30.0
RETRY_JITTER = 0.2
"""A delay is spread by ±20 %, so that clients refused at once do not come back at once."""

CAUSE_FACT = "cause"
"""What broke a command that is stored as failed: operators see it, clients do not."""

FAULT_MESSAGE = "internal error; give the operator the correlation id"

_ANY_OVERHEAD_BYTES = 64
_ENTRY_OVERHEAD_BYTES = 8

_CODES = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.CONFLICT: grpc.StatusCode.ABORTED,
    Kind.OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.FAULT: grpc.StatusCode.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What the client gets in place of a response."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def status_of(error: EventCoreError | ErrorRecord) -> int:
    """The number of the status, as in google.rpc.Code, that the error is answered with."""
    number: int = _CODES[error.kind].value[0]
    return number


def is_fault(error: BaseException) -> bool:
    """Whether the error is one of the server's own, to be logged and not to be shown.

    The fault that a command was given up for is not: it was logged when it happened, and is what
    is stored.
    """
    if isinstance(error, StoredError):
        return False
    return not isinstance(error, EventCoreError) or error.kind is Kind.FAULT


def client_facts(error: EventCoreError, subject: Mapping[str, str]) -> dict[str, str]:
    """What a client is told of an error that is no fault, by name.

    Args:
        error: The error.
        subject: What the command or the call is about. It stands, whatever an error brings along.
    """
    facts: dict[str, str] = {}
    if isinstance(error, InvalidFields) and len(error.violations) > VIOLATIONS_MAX:
        facts["violations_total"] = str(len(error.violations))
    facts |= subject
    hidden = CAUSE_FACT if isinstance(error, StoredError) else None
    for name, text in error.facts.items():
        if name != hidden:
            facts.setdefault(name, text)
    return facts


def retry_delay_ms(error: EventCoreError) -> int | None:
    """How long a client is told to wait, spread and bounded; None where waiting does not help."""
    if error.retry_delay_seconds is None:
        return None
    spread = random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)  # noqa: S311  # No secret.
    return round(
        1000 * min(error.retry_delay_seconds * spread, RETRY_DELAY_SECONDS_MAX)
    )


def answer_of(error: BaseException, call: Call, *, domain: str) -> ErrorAnswer:
    """The answer that tells the client of the error."""
    if not isinstance(error, EventCoreError) or is_fault(error):
        return _fault_answer(call, domain)
    code = _CODES[error.kind]
    message = cut(error.message, MESSAGE_BYTES_MAX)
    status = Status(code=status_of(error), message=message)
    rule = error.rule if isinstance(error, Refusal | StoredError) else ""
    violations = error.violations if isinstance(error, InvalidFields) else ()
    about = {"rule": rule} if rule else {}
    facts = about | client_facts(error, call.subject) | about
    _add(status, _error_info(error.reason, facts, call, domain))
    trailers: list[tuple[str, str | bytes]] = []
    delay_ms = retry_delay_ms(error)
    if delay_ms is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(delay_ms)
        _add(status, retry)
        trailers.append((RETRY_PUSHBACK, str(delay_ms)))
    if rule:
        _add(status, _precondition_failure(rule, message, call))
    if violations:
        room = DETAILS_BYTES_MAX - status.ByteSize() - _ANY_OVERHEAD_BYTES
        _add(status, _bad_request(violations, room))
    return _answer(code, status, call, trailers)


def _fault_answer(call: Call, domain: str) -> ErrorAnswer:
    code = grpc.StatusCode.INTERNAL
    status = Status(code=code.value[0], message=FAULT_MESSAGE)
    _add(status, _error_info("INTERNAL", call.subject, call, domain))
    return _answer(code, status, call, [])


def _answer(
    code: grpc.StatusCode,
    status: Status,
    call: Call,
    trailers: list[tuple[str, str | bytes]],
) -> ErrorAnswer:
    trailers.append((CORRELATION_ID, call.correlation_id))
    trailers.append((STATUS_DETAILS, status.SerializeToString()))
    return ErrorAnswer(code, status.message, tuple(trailers))


def _add(status: Status, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _error_info(
    reason: str, facts: Mapping[str, str], call: Call, domain: str
) -> ErrorInfo:
    info = ErrorInfo(reason=reason, domain=domain)
    room = METADATA_BYTES_MAX
    ids = {"correlation_id": call.correlation_id}
    for name, value in (ids | dict(facts) | ids).items():
        shown = cut(value, VALUE_BYTES_MAX)
        room -= len(name) + len(shown.encode()) + _ENTRY_OVERHEAD_BYTES
        if room < 0:
            break  # The first ones weigh most: ids and the rule, then the facts.
        info.metadata[name] = shown
    return info


def _precondition_failure(rule: str, message: str, call: Call) -> PreconditionFailure:
    # What a command is about is whatever the servicer named beside the command itself.
    about = [value for name, value in call.subject.items() if name != "command_id"]
    violation = PreconditionFailure.Violation(
        type=rule,
        subject=cut(about[0], VALUE_BYTES_MAX) if about else "",
        description=message,
    )
    return PreconditionFailure(violations=[violation])


def _bad_request(violations: Iterable[FieldViolation], room: int) -> BadRequest:
    """Names as many violations as may be named and as there is room for."""
    request = BadRequest()
    for violation in violations:
        named = BadRequest.FieldViolation(
            field=cut(violation.field, VALUE_BYTES_MAX),
            description=cut(violation.description, VALUE_BYTES_MAX),
        )
        room -= named.ByteSize() + _ENTRY_OVERHEAD_BYTES
        if room < 0 or len(request.field_violations) == VIOLATIONS_MAX:
            break
        request.field_violations.append(named)
    return request


def cut(text: str, bytes_max: int) -> str:
    """The text as valid UTF-8 of at most `bytes_max` bytes; one that is cut ends in "..."."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return encoded.decode()
    return encoded[: bytes_max - 3].decode(errors="ignore") + "..."
