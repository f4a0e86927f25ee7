"""What metrics show of a projection."""

import math
from collections.abc import Callable

from eventcore.messages import Instant
from projector.owned import Owned


class Figures:
    """Reads them off the projection, as of when they are asked, from whichever thread."""

    def __init__(self, owned: Owned, clock: Callable[[], Instant]) -> None:
        self._owned = owned
        self._clock = clock

    def position(self) -> float:
        """Up to which it holds the log."""
        shown = self._owned.shown
        return 0 if shown is None else shown.position

    def head_position(self) -> float:
        """The end of the log when it last looked."""
        shown = self._owned.shown
        return 0 if shown is None else shown.checkpoint.head_position

    def lag_seconds(self) -> float:
        """Since it was last known to hold the whole log."""
        shown = self._owned.shown
        if shown is None or not shown.checkpoint.complete_time:
            # Nobody knows how old nothing is; 0 would say that it is up to date.
            return math.nan
        return max(self._clock() - shown.checkpoint.complete_time, 0) / 1_000_000

    def failed(self) -> float:
        """1 while it, or its rebuild, has stopped at an event."""
        return float(any(follower.is_failed for follower in self._owned.followers))

    def paused(self) -> float:
        """1 while an operator has it stand still."""
        return float(self._owned.is_paused)

    def skipped_events(self) -> float:
        """Left out of what serves."""
        served = self._owned.served
        return 0 if served is None else len(served.skipped)

    def progress(self) -> float:
        """Of its rebuild, 0 to 1; 1 without one."""
        rebuild = self._owned.rebuild
        if rebuild is None:
            return 1.0
        checkpoint = rebuild.follower.checkpoint
        return checkpoint.position / max(checkpoint.head_position, 1)
