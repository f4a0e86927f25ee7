"""The port of the outbox: what was appended and is still to be followed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import EventEnvelope


@dataclass(frozen=True, slots=True)
class OutboxBatch:
    """What follows a position, and the end of the log at the same moment."""

    events: list[EventEnvelope]
    head_position: int


class OutboxReader(Protocol):
    """Follows the log by its outbox, as of one snapshot. Blocking."""

    def read(self, *, after_position: int, limit: int) -> OutboxBatch:
        """Up to `limit` events above `after_position`, in order of position.

        Raises:
            CorruptLog: a position between `after_position` and the head is missing, or
                `after_position` is beyond the head.
        """


class Outbox(OutboxReader, Protocol):
    """Adds to the outbox, inside a unit of work."""

    def add(self, positions: Sequence[int]) -> None:
        """Puts the positions in, in the transaction that appends their events."""
