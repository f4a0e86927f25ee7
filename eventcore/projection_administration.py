"""The port through which operators look at the projections and act on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from eventcore.generations import Generation, Ownership, Skip
from eventcore.messages import Instant
from eventcore.operators import Operator

STALLED_MICROSECONDS = 10_000_000
"""A projector that has not reported for so long is not at work. It reports every second."""


class ProjectionState(Enum):
    """What a projection is doing."""

    RUNNING = "running"
    """Applying events, or waiting for some."""
    PAUSED = "paused"
    """An operator has it stand still."""
    REBUILDING = "rebuilding"
    """Running, with a rebuild beside it; or made for the first time."""
    FAILED = "failed"
    """It has stopped at an event that it cannot apply."""
    STALLED = "stalled"
    """No projector has reported for it lately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionStatus:
    """A projection as operators see it, in the version of the projector that tells."""

    name: str
    ownership: Ownership
    served: Generation | None
    """What answers queries; None if nothing does yet."""
    made: Generation | None
    """The rebuild that is under way."""
    previous: Generation | None
    """What a rollback goes back to."""
    previous_drop_time: Instant
    """When that is dropped; 0 without one."""
    skips: Sequence[Skip]
    """What was left out of what serves."""
    now: Instant

    @property
    def state(self) -> ProjectionState:
        """What it is doing."""
        shown = self.served or self.made
        if self.now - self.ownership.heartbeat_time > STALLED_MICROSECONDS:
            return ProjectionState.STALLED
        if self.ownership.pause is not None:
            return ProjectionState.PAUSED
        if shown is not None and shown.failure is not None:
            return ProjectionState.FAILED
        if self.made is not None:
            return ProjectionState.REBUILDING
        return ProjectionState.RUNNING


class ProjectionAdministration(Protocol):
    """What operators can see and do. Every change is logged with who made it and why, is in the
    store when it is answered, and is obeyed by whichever projector owns the projection.

    Each change raises `ProjectionNotFound` for a name that there is not, and `StoreUnavailable` if
    whether it was made is not known; it returns the projection after it.
    """

    async def projections(self) -> list[ProjectionStatus]:
        """All projections, by name.

        Raises:
            StoreUnavailable: the read store does not answer.
        """

    async def pause(self, name: str, reason: str, *, by: Operator) -> ProjectionStatus:
        """Has a projection stand still, across restarts. Paused before: the new reason counts, and
        the time of the first.
        """

    async def resume(
        self, name: str, reason: str, *, skip_position: int, by: Operator
    ) -> ProjectionStatus:
        """Has a projection, and its rebuild, go on: what was paused, and what has failed, at the
        event where it has. Neither: nothing happens.

        Args:
            name: Which.
            reason: Why.
            skip_position: The position of an event to leave out, for ever, of those generations
                that have failed at it; 0 is none.
            by: Who.

        Raises:
            WrongProjectionState: nothing has failed at that position, or there is no event.
        """

    async def rebuild(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        """Begins to make a projection anew, beside what serves.

        Raises:
            WrongProjectionState: a rebuild is under way.
        """

    async def cancel_rebuild(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        """Gives up a rebuild.

        Raises:
            WrongProjectionState: none is under way, or nothing else serves.
        """

    async def roll_back(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        """Has the generation before the last rebuild serve again.

        Raises:
            WrongProjectionState: there is none, it has failed, it is behind what serves, or a
                rebuild is under way.
        """
