"""When a command that broke is tried again."""

import asyncio
from collections.abc import Callable

BACKOFF_SECONDS_MAX = 5.0
"""Between two attempts."""


DOUBLINGS_MAX = 16
"""With more the wait is the longest for any backoff that may be set."""


class Retries:
    """Waits that double with each attempt, on the event loop's clock."""

    def __init__(self, *, backoff_seconds: float) -> None:
        self._backoff_seconds = backoff_seconds
        self._timers: set[asyncio.TimerHandle] = set()

    def seconds_after(self, attempts: int) -> float:
        """How long to wait after that many attempts."""
        doublings = min(max(attempts - 1, 0), DOUBLINGS_MAX)
        return min(self._backoff_seconds * (1 << doublings), BACKOFF_SECONDS_MAX)

    def after(self, attempts: int, try_again: Callable[[], None]) -> None:
        """Calls `try_again` when the wait after that many attempts is over."""

        def run() -> None:
            self._timers.discard(timer)
            try_again()

        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.seconds_after(attempts), run)
        self._timers.add(timer)

    def close(self) -> None:
        """Tries nothing again: what is stored is tried after the next start."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
