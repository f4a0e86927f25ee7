"""What the edge knows of the RPC under way."""

import asyncio
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from uuid_utils import uuid7

from eventcore.errors import FieldViolation

CORRELATION_ID = "x-correlation-id"
CAUSATION_ID = "x-causation-id"
TRACEPARENT = "traceparent"

TRACE_ID = re.compile(r"[\x20-\x7e]{1,128}")
TRACE_ID_FORM = "1 to 128 printable ASCII characters"

METADATA_ENTRY_BYTES = 32
"""What an entry of metadata counts for beside its key and its value, as HTTP/2 counts headers:
https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2."""

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
    draining: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    """Set when the server begins to drain. A call that goes on without a bound ends itself then,
    with what it has taken in answered; any other call need not look."""


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


def call_of(
    method: str,
    metadata: Iterable[tuple[str, str | bytes]],
    *,
    metadata_bytes_max: int,
    draining: asyncio.Event,
) -> Call:
    """The call that the metadata of a request describes."""
    correlation_id = causation_id = ""
    traceparent: str | bytes = ""
    violations: list[FieldViolation] = []
    size = 0
    for key, value in metadata:
        size += len(key) + len(value) + METADATA_ENTRY_BYTES
        if key == CORRELATION_ID:
            correlation_id = _trace_id(key, value, violations)
        elif key == CAUSATION_ID:
            causation_id = _trace_id(key, value, violations)
        elif key == TRACEPARENT:
            traceparent = value
    if size > metadata_bytes_max:
        violations.append(_too_much_metadata(size, metadata_bytes_max))
    return Call(
        method=method,
        correlation_id=correlation_id or str(uuid7()),
        causation_id=causation_id,
        traceparent=_trace_context(traceparent) if traceparent else "",
        violations=violations,
        draining=draining,
    )


def _too_much_metadata(size: int, bytes_max: int) -> FieldViolation:
    return FieldViolation(
        "metadata",
        f"has {size} bytes, at most {bytes_max} are allowed: keys, values, and "
        f"{METADATA_ENTRY_BYTES} for each entry",
    )


def _trace_id(key: str, value: str | bytes, violations: list[FieldViolation]) -> str:
    """The id, or "" after its violation is noted."""
    if isinstance(value, str) and TRACE_ID.fullmatch(value):
        return value
    violations.append(FieldViolation(key, f"must be {TRACE_ID_FORM}"))
    return ""


def _trace_context(value: str | bytes) -> str:
    """The traceparent as version 00, or "": W3C has a malformed one ignored, not refused."""
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match["version"] == "00" and match["rest"]):
        return ""
    return f"00-{match['fields']}"
