"""The port of checkpoints: how far each projection is."""

from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a projection is, and in which log.

    The id of the newest event that it holds tells a log that was restored or swapped from the one
    that the projection was made of.
    """

    projection: str
    store_id: str
    position: int = 0
    """Every event up to here is in the read model."""
    event_id: str = ""
    """Of the event at that position; empty at 0."""
    position_time: Instant = 0
    """When that event was stored; 0 at 0."""
    head_position: int = 0
    """The end of the log when it was last looked at."""
    complete_time: Instant = 0
    """When the projection was last known to hold the whole log; 0 is never."""


class CheckpointReader(Protocol):
    """Reads checkpoints, as of one snapshot. Blocking."""

    def get(self, projection: str) -> Checkpoint | None:
        """The checkpoint of a projection; None before its first one."""


class Checkpoints(CheckpointReader, Protocol):
    """Moves checkpoints, inside the unit of work that changes the read model."""

    def advance(self, checkpoint: Checkpoint, *, expected_position: int | None) -> None:
        """Replaces the checkpoint, if it still is where the caller has left it.

        Args:
            checkpoint: The new one. Its position may be the old one: the head and the time at
                which the projection was complete move also while nothing happens.
            expected_position: Of the checkpoint that is replaced; None if there must be none.

        Raises:
            CheckpointMoved: it is elsewhere: another projector is at work. After it, the unit of
                work can only be left without a commit.
        """
