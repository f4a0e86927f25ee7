"""How fresh an answer is, and how fresh it has to be."""

from dataclasses import dataclass
from typing import Protocol

from eventcore.checkpoints import Checkpoint
from eventcore.errors import ProjectionLagging, StoreMismatch
from eventcore.messages import Instant

MAX_WAIT_SECONDS_DEFAULT = 2.0
"""How long a query waits for the freshness that it asks for, unless it says otherwise."""

MAX_WAIT_SECONDS_MAX = 30.0
"""Longest wait; what is asked for beyond it is cut to it."""

LAG_SHOWN_MIN_MICROSECONDS = 2_000_000
"""A shorter lag is reported as none: the projector writes down only every second that it stands at
the end of the log."""

LAGGING_RETRY_SECONDS = 0.5
"""When to ask again after a wait that was in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a query demands of the read model that answers it."""

    min_position: int = 0
    """Everything up to here must be in the answer; 0 is what there is."""
    max_wait_seconds: float = MAX_WAIT_SECONDS_DEFAULT
    store_id: str = ""
    """The store that the position is of; empty is not said."""

    def check_store(self, store_id: str) -> None:
        """Raises `StoreMismatch` if the position is of another store."""
        if self.store_id and self.store_id != store_id:
            raise StoreMismatch(given=self.store_id, actual=store_id)

    def check(self, checkpoint: Checkpoint) -> None:
        """Checks the checkpoint that was read with an answer.

        Raises:
            StoreMismatch: the position is of another store.
            ProjectionLagging: the answer is older than it may be.
        """
        self.check_store(checkpoint.store_id)
        if checkpoint.position < self.min_position:
            raise ProjectionLagging(
                min_position=self.min_position,
                position=checkpoint.position,
                retry_delay_seconds=LAGGING_RETRY_SECONDS,
            )


class Freshness(Protocol):
    """Holds queries back until the read models are as fresh as they demand."""

    async def reach(
        self,
        requirement: Requirement,
        *,
        projection: str,
        time_remaining_seconds: float | None,
    ) -> None:
        """Returns once a projection meets a requirement.

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


def lag_microseconds(checkpoint: Checkpoint, *, now: Instant) -> int:
    """How long ago the read model was last known to hold the whole log.

    It held the whole log also at the time of its newest event, which was the end of the log then.
    """
    lag = now - max(checkpoint.complete_time, checkpoint.position_time)
    return lag if lag >= LAG_SHOWN_MIN_MICROSECONDS else 0
