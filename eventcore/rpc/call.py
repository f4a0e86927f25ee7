"""What the edge knows of the RPC under way."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from uuid_utils import uuid7

from eventcore.errors import FieldViolation

CORRELATION_ID = "x-correlation-id"
CAUSATION_ID = "x-causation-id"
TRACEPARENT = "traceparent"

_TRACE_ID = re.compile(r"[\x20-\x7e]{1,128}")
_TRACE_ID_FORM = "must be 1 to 128 printable ASCII characters"

# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace id, parent id, flags. A
# version above 00 may go on after the flags.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})"
    r"-(?P<fields>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})"
    r"(?P<rest>-.*)?"
)


@dataclass(slots=True)
class Call:
    """The RPC under way: where it comes from and, as the servicer learns it, what it is about."""

    method: str
    """As in "/package.Service/Method"."""
    correlation_id: str
    """From the client, or made by the server; the answer carries it."""
    causation_id: str = ""
    traceparent: str = ""
    """W3C trace context in the form of version 00; empty without one, or with a malformed one."""
    violations: list[FieldViolation] = field(default_factory=list)
    """What is wrong with the metadata. A servicer of a service that `merges_violations` seeds its
    checks with them, as in `FieldFaults(current_call().violations)`, so that one answer names
    every fault; for other services such a call never reaches the servicer."""
    subject: dict[str, str] = field(default_factory=dict)
    """What the call is about, as in {"command_id": …}. The servicer fills it as
    soon as it knows; every error answer and every error log carries it."""


_CURRENT: ContextVar[Call] = ContextVar("orderes_call")


def current_call() -> Call:
    """The call that this task answers.

    Raises:
        LookupError: the task answers none.
    """
    return _CURRENT.get()


def enter_call(call: Call) -> None:
    """Makes the call the current one, for the rest of this task."""
    _CURRENT.set(call)


def call_of(method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Call:
    """The call that the metadata of a request describes."""
    correlation_id = causation_id = ""
    traceparent: str | bytes = ""
    violations: list[FieldViolation] = []
    for key, value in metadata:
        if key == CORRELATION_ID:
            correlation_id = _trace_id(key, value, violations)
        elif key == CAUSATION_ID:
            causation_id = _trace_id(key, value, violations)
        elif key == TRACEPARENT:
            traceparent = value
    return Call(
        method=method,
        correlation_id=correlation_id or str(uuid7()),
        causation_id=causation_id,
        traceparent=_trace_context(traceparent) if traceparent else "",
        violations=violations,
    )


def _trace_id(key: str, value: str | bytes, violations: list[FieldViolation]) -> str:
    """The id, or "" after its violation is noted."""
    if isinstance(value, str) and _TRACE_ID.fullmatch(value):
        return value
    violations.append(FieldViolation(key, _TRACE_ID_FORM))
    return ""


def _trace_context(value: str | bytes) -> str:
    """The traceparent as version 00, or "": W3C has a malformed one ignored, not refused."""
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match["version"] == "00" and match["rest"]):
        return ""
    return f"00-{match['fields']}"
