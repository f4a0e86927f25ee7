"""How fresh an answer is, and how fresh it has to be."""

from dataclasses import dataclass
from typing import Protocol

from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    PositionNotReached,
    ProjectionLagging,
    StoreMismatch,
    TooStale,
)
from eventcore.messages import Instant
from eventcore.projection import Projection

MAX_WAIT_SECONDS_DEFAULT = 2.0
"""How long a query waits for the freshness that it asks for, unless it says otherwise."""

MAX_WAIT_SECONDS_MAX = 30.0
"""Longest wait; what is asked for beyond it is cut to it."""

LAG_SHOWN_MIN_MICROSECONDS = 2_000_000
"""A shorter lag is reported as none: the projector writes down only every second that it stands at
the end of the log."""

MAX_STALENESS_SECONDS_MIN = LAG_SHOWN_MIN_MICROSECONDS / 1_000_000
"""Nobody can ask for less than what is told apart from none."""

LAGGING_RETRY_SECONDS = 0.5
"""When to ask again after a wait that was in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a query demands of the read model that answers it."""

    min_position: int = 0
    """Everything up to here must be in the answer; 0 is what there is."""
    max_staleness_seconds: float | None = None
    """How long ago the answer may have been complete; None is any time."""
    max_wait_seconds: float = MAX_WAIT_SECONDS_DEFAULT
    allow_stale: bool = False
    """Whether to answer after the wait with what there is."""
    floor_position: int = 0
    """Of a later page, where the first one was: it must not be older, whatever is allowed."""
    store_id: str = ""
    """The store that the position is of; empty is not said."""

    def check_store(self, store_id: str) -> None:
        """Raises `StoreMismatch` if the position is of another store."""
        if self.store_id and self.store_id != store_id:
            raise StoreMismatch(given=self.store_id, actual=store_id)

    def lagging(
        self, checkpoint: Checkpoint, *, now: Instant
    ) -> ProjectionLagging | None:
        """What is wrong with a read model at that checkpoint; None if it is as demanded."""
        wanted = max(self.min_position, self.floor_position)
        if checkpoint.position < wanted:
            return PositionNotReached(
                min_position=wanted,
                position=checkpoint.position,
                retry_delay_seconds=LAGGING_RETRY_SECONDS,
            )
        if self.max_staleness_seconds is None:
            return None
        lag_seconds = _lag(checkpoint, now=now) / 1_000_000
        if lag_seconds <= self.max_staleness_seconds:
            return None
        return TooStale(
            max_staleness_seconds=self.max_staleness_seconds,
            lag_seconds=lag_seconds,
            position=checkpoint.position,
            retry_delay_seconds=LAGGING_RETRY_SECONDS,
        )

    def check(self, checkpoint: Checkpoint, *, now: Instant) -> bool:
        """Checks the checkpoint that was read with an answer.

        Returns:
            Whether the answer is staler than demanded, and that is allowed.

        Raises:
            StoreMismatch: the position is of another store.
            ProjectionLagging: the answer is older than it may be.
        """
        self.check_store(checkpoint.store_id)
        lagging = self.lagging(checkpoint, now=now)
        if lagging is None:
            return False
        if self.allow_stale and checkpoint.position >= self.floor_position:
            return True
        raise lagging


class Freshness(Protocol):
    """Holds queries back until the read models are as fresh as they demand."""

    async def reach(
        self,
        requirement: Requirement,
        *,
        projection: Projection,
        time_remaining_seconds: float | None,
    ) -> None:
        """Returns once a projection meets a requirement; or after the wait, if a stale answer is
        allowed.

        Args:
            requirement: What the query demands.
            projection: The read model that will answer it.
            time_remaining_seconds: Until the caller's deadline; None without one.

        Raises:
            ProjectionLagging: it did not within the wait.
            StoreMismatch: it never will: the position is of another store.
            StoreUnavailable: the read store does not answer.
            ShuttingDown: the server drains while it waits.
        """

    async def look(self, projection: Projection) -> Checkpoint:
        """The checkpoint of a projection, as of now.

        Raises:
            ProjectionLagging: there is nothing to answer from yet.
            StoreUnavailable: the read store does not answer.
        """

    async def beyond(
        self, position: int, *, projection: Projection, seconds: float
    ) -> Checkpoint:
        """The checkpoint of a projection, once it is beyond a position or the time has passed.

        Raises:
            ProjectionLagging: there is nothing to answer from yet.
            StoreUnavailable: the read store does not answer.
            ShuttingDown: the server drains.
        """


def lag_microseconds(checkpoint: Checkpoint, *, now: Instant) -> int:
    """How long ago the read model was last known to hold the whole log, as answers tell it."""
    lag = _lag(checkpoint, now=now)
    return lag if lag >= LAG_SHOWN_MIN_MICROSECONDS else 0


def is_current(checkpoint: Checkpoint, *, now: Instant) -> bool:
    """Whether the read model was known to hold the whole log just now."""
    return lag_microseconds(checkpoint, now=now) == 0


def _lag(checkpoint: Checkpoint, *, now: Instant) -> int:
    """In microseconds. A time that has not come yet shows that the clock was set back since, so
    that nobody knows for how long nothing was heard: for so long, or for longer.
    """
    return abs(now - checkpoint.complete_time)
