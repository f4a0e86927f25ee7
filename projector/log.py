"""The log as the projections of one round read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventcore.messages import EventEnvelope, Instant
from eventcore.write_store import WriteStoreReader


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """What follows a position of the log, and when it was looked at."""

    events: Sequence[EventEnvelope]
    head_position: int
    store_id: str
    time: Instant


class LogRound:
    """Reads the log for one round. Projections that are at one position share what was read."""

    def __init__(
        self,
        write_store: WriteStoreReader,
        *,
        store_id: str,
        clock: Callable[[], Instant],
    ) -> None:
        self._write_store = write_store
        self._store_id = store_id
        self._clock = clock
        self._batches: dict[tuple[int, int], LogBatch] = {}

    def read(self, *, after_position: int, limit: int) -> LogBatch:
        """What follows a position.

        Raises:
            CorruptLog: a position is missing.
            StoreUnavailable: the write store does not answer.
        """
        wanted = (after_position, limit)
        batch = self._batches.get(wanted)
        if batch is None:
            # Before it is read: what is complete then was complete at that time.
            time = self._clock()
            with self._write_store.snapshot() as snapshot:
                found = snapshot.outbox.read(after_position=after_position, limit=limit)
            batch = self._batches[wanted] = LogBatch(
                events=found.events,
                head_position=found.head_position,
                store_id=self._store_id,
                time=time,
            )
        return batch
