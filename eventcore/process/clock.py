"""The clock of a process. Composition roots hand it to whatever needs the time."""

import time

from eventcore.messages import Instant

NANOSECONDS_PER_MICROSECOND = 1000


def now() -> Instant:
    """The time, in microseconds since 1970 UTC."""
    return time.time_ns() // NANOSECONDS_PER_MICROSECOND
