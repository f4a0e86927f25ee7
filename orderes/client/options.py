"""What calls take beside what they are about: keyword arguments that many methods share.

Each is declared once, as a `TypedDict`, and a method takes it by `**options: Unpack[...]`: type
checkers and editors see the keywords as if each method named them.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import TypedDict

from orderes.client.positions import Position
from orderes.v1.command_pb2 import Lane, WaitFor

Metadata = tuple[tuple[str, str], ...]

TIMEOUT_SECONDS = 15.0
"""Of a call that asks for no longer wait. Longer than the 10 s that a server waits by default, so
that its answer is heard."""
WAIT_SECONDS_MAX = 30.0
"""What a server waits, however much longer it is told to."""
WAIT_MARGIN_SECONDS = 5.0
"""What a call gets beyond the wait that it asks for: the answer has to come back."""

_HEADERS = {
    "correlation_id": "x-correlation-id",
    "causation_id": "x-causation-id",
    "traceparent": "traceparent",
}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")


class Tracing(TypedDict, total=False):
    """Where a call comes from. What is not given is as the client was made with it."""

    correlation_id: str
    """The business flow that it belongs to: on every event of it, and in every log line. The server
    makes one if there is none."""
    causation_id: str
    """What made the client call: an event of another context, say."""
    traceparent: str
    """W3C trace context."""


class CallOptions(Tracing, total=False):
    """What every call takes."""

    timeout_seconds: float | None
    """Until the deadline, which bounds all attempts together. None: that of the client, or longer
    if `max_wait_seconds` asks for it."""


class Handling(TypedDict, total=False):
    """How the server handles a command."""

    wait_for: WaitFor.ValueType
    """When to answer. Default: WAIT_FOR_COMMITTED."""
    max_wait_seconds: float | None
    """How long to wait for that, at most; then the answer is the record as it is, ACCEPTED. None:
    10. At most 30."""
    lane: Lane.ValueType | None
    """None: that of the command's type."""
    validate_only: bool
    """Say what would happen, and store nothing."""


class BatchDelivery(CallOptions, Handling, total=False):
    """How commands are sent together."""


class StreamDelivery(Tracing, Handling, total=False):
    """How commands are sent in a stream. Those that have options of their own keep them."""


class Delivery(BatchDelivery, total=False):
    """How a command is sent."""

    command_id: str | None
    """Idempotency key. None: a UUIDv7 is made. Every attempt has the same, and so has the error,
    so that the caller can go on repeating it."""
    expected_version: int | None
    """Refuse if the order has another version: `VersionMismatch`."""


class Reading(CallOptions, total=False):
    """How fresh an answer has to be.

    Unless it is asked for otherwise, everything that this client has written or read before is in
    the answer.
    """

    min_position: Position | None
    """Everything up to here, in place of what the client knows by itself."""
    max_staleness_seconds: float | None
    """Not older than this, in place of what the client knows by itself; at least 2."""
    catch_up: bool
    """False: without a demand of its own the query is answered with what the read model has, at
    once, whatever this client has written. Default: True."""
    max_wait_seconds: float | None
    """How long the read model may take to get there; then `ProjectionLagging`. None: the query is
    repeated until the deadline. At most 30."""
    allow_stale: bool
    """After that wait, answer with what there is, and say so in ReadInfo.stale."""


def check_names(given: Mapping[str, object], known: type) -> None:
    """What a function does that names its keywords itself.

    Raises:
        TypeError: a keyword is not of the `TypedDict`.
    """
    unknown = sorted(given.keys() - known.__annotations__.keys())
    if unknown:
        raise TypeError(f"unexpected keyword arguments: {', '.join(unknown)}")


def metadata_of(defaults: Tracing, given: Tracing) -> Metadata:
    """What a call carries with it.

    Raises:
        ValueError: a value is not printable ASCII, which gRPC cannot send.
    """
    return tuple(_entries({**defaults, **given}))


def _entries(tracing: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, header in _HEADERS.items():
        value = str(tracing.get(name, ""))
        if value and not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name} must be printable ASCII, not {value!r}")
        if value:
            yield header, value


def timeout_of(
    given: CallOptions, *, default: float, wait_seconds: float | None
) -> float:
    """Seconds until the deadline of a call that asks the server to wait so long.

    Raises:
        ValueError: the seconds that were given are not above 0.
    """
    timeout = given.get("timeout_seconds")
    if timeout is not None:
        return checked_timeout(timeout)
    if wait_seconds is None:
        return default
    return max(default, min(wait_seconds, WAIT_SECONDS_MAX) + WAIT_MARGIN_SECONDS)


def checked_timeout(seconds: float) -> float:
    """Seconds until a deadline.

    Raises:
        ValueError: they are not above 0, or have no end.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"timeout_seconds must be above 0 and finite, not {seconds}")
    return seconds
