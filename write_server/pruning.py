"""How the outbox is kept short: what is old is taken out of it, after callers are answered.

Whoever reads further back reads the log itself, so nothing but its length hangs on it. A server to
which no commands come prunes nothing: its outbox does not grow either.
"""

import math
from collections.abc import Sequence

import structlog

from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.write_store import WriteStore, WriteUnit

PRUNED_PER_APPENDED = 2
"""Events that the writer takes out in its turn for each that it has appended in it, rounded up to
whole transactions. As it is more than one, the outbox becomes shorter, whatever they hold.
"""

log = structlog.get_logger()


class Pruning:
    """Knows how long the outbox is, and takes out what is beyond the newest that it is to keep.

    It lives on the thread that owns the write store.
    """

    def __init__(
        self, *, store: WriteStore, keep_events: int, prune_events_max: int
    ) -> None:
        """Args:
        store: Whose outbox it is.
        keep_events: How many of the newest events stay in it.
        prune_events_max: How many one transaction takes out. None begins before there are as many,
            so that they share its fsync.
        """
        self._store = store
        self._keep_events = keep_events
        self._prune_events_max = prune_events_max
        # Both are at least that. Where the outbox really begins is looked up when there seems to be
        # enough in it, so that a start costs nothing.
        self._head_position = 0
        self._lowest_position = 1
        self._transactions = 0
        """How many more the writer has time for in its turn."""
        self._failed = False

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Notes what a batch has committed. Its turn has time for one transaction, and for more
        only where one does not take out what the batch has put in.
        """
        appended = 0
        for outcome in outcomes:
            if isinstance(outcome, Receipt) and not outcome.deduplicated:
                appended += outcome.record.event_count
                self._head_position = max(self._head_position, outcome.record.position)
        self._transactions = math.ceil(
            appended * PRUNED_PER_APPENDED / self._prune_events_max
        )

    @property
    def is_due(self) -> bool:
        """Whether there is as much to take out as one transaction does, and time for it."""
        return self._transactions > 0 and self._is_enough

    def prune(self) -> int:
        """Takes out the lowest positions, in one transaction.

        A store that is away, or has no room, loses nothing: they come up again, with the next
        events.

        Returns:
            How many.

        Raises:
            StoreBroken: the store failed in a way after which only a restart can go on.
        """
        self._transactions -= 1
        try:
            with self._store.begin() as unit:
                pruned = self._prune(unit)
        except StoreBroken:
            raise
        except Exception as error:  # noqa: BLE001 - an outbox that is too long stops nothing.
            self._transactions = 0
            self._tell(error)
            return 0
        self._failed = False
        return pruned

    def _prune(self, unit: WriteUnit) -> int:
        lowest_position = unit.outbox.lowest_position()
        if lowest_position is None:
            lowest_position = self._head_position + 1
        self._lowest_position = lowest_position
        if not self._is_enough:
            return 0
        pruned = unit.outbox.prune(
            up_to_position=self._prunable_position, limit=self._prune_events_max
        )
        unit.commit()
        self._lowest_position += pruned
        return pruned

    @property
    def _prunable_position(self) -> int:
        """The newest position that may be taken out. No projection holds it back: it reads the log
        where it has to.
        """
        return self._head_position - self._keep_events

    @property
    def _is_enough(self) -> bool:
        prunable = self._prunable_position - self._lowest_position + 1
        return prunable >= self._prune_events_max

    def _tell(self, error: Exception) -> None:
        """Logs the first failure of a row: there is one for each batch of commands."""
        if self._failed:
            return
        self._failed = True
        if isinstance(error, StoreUnavailable):
            log.warning("outbox_not_pruned", cause=str(error.__cause__))
        else:
            log.error("outbox_not_pruned", exc_info=error)
