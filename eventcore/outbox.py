"""The port of the outbox: what was appended and is still to be followed.

It holds positions only: the newest ones of the log, without a hole. What is old is taken out in
time, and nothing is lost by that, because the log has all of it.
"""

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

        They come from the outbox if it has what follows `after_position`, and from the log itself
        where that was pruned. Who reads need not know which.

        Raises:
            CorruptLog: of the positions that are read, one is missing or is beyond the head; or
                `after_position` is beyond the head.
        """

    def lowest_position(self) -> int | None:
        """Where the outbox begins; None if it is empty. It is looked up, whatever the length."""


class Outbox(OutboxReader, Protocol):
    """Adds to the outbox and prunes it, inside a unit of work."""

    def add(self, positions: Sequence[int]) -> None:
        """Puts the positions in, in the transaction that appends their events."""

    def prune(self, *, up_to_position: int, limit: int) -> int:
        """Takes out the lowest positions: at most `limit`, and none above `up_to_position`.

        Returns:
            How many.
        """
