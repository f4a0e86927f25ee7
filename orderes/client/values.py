"""Times and durations, as Python has them and as the wire carries them."""

import math
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_MICROSECONDS = 1_000_000


def duration_of(name: str, seconds: float) -> Duration:
    """Seconds as a message, to the microsecond.

    Raises:
        ValueError: the seconds are no finite number.
    """
    if not math.isfinite(seconds):
        raise ValueError(f"{name} must be a finite number of seconds, not {seconds}")
    message = Duration()
    message.FromMicroseconds(round(seconds * _MICROSECONDS))
    return message


def timestamp_of(name: str, time: datetime) -> Timestamp:
    """An aware time as a message.

    Raises:
        ValueError: the time has no time zone, so that nobody knows when it is.
    """
    if time.utcoffset() is None:
        raise ValueError(f"{name} must have a time zone, as datetime.now(UTC) has")
    message = Timestamp()
    message.FromDatetime(time)
    return message


def time_of(timestamp: Timestamp) -> datetime:
    """The time in a message, aware, in UTC, to the microsecond.

    A field that is not set reads as 1970: ask `HasField` first where the contract lets it be unset.
    """
    return timestamp.ToDatetime(tzinfo=UTC)
