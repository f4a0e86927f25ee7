"""How far a read model is, and in which log."""

from dataclasses import dataclass

from eventcore.messages import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a read model is, and in which log.

    The id of the newest event that it holds tells a log that was restored or swapped from the one
    that the read model was made of.
    """

    store_id: str = ""
    """Empty as long as it has seen no log."""
    position: int = 0
    """Every event up to here is in the read model."""
    event_id: str = ""
    """Of the event at that position; empty at 0."""
    position_time: Instant = 0
    """When that event was stored; 0 at 0."""
    head_position: int = 0
    """The end of the log when it was last looked at."""
    complete_time: Instant = 0
    """The latest time of which the read model is known to hold the whole log; 0 is none."""
