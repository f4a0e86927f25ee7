"""Keeps projections at the end of the log, each for itself."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    CheckpointMoved,
    CorruptLog,
    EventCoreError,
    MalformedEvent,
    StartFailed,
    StoreUnavailable,
    UnknownEvent,
)
from eventcore.messages import EventEnvelope, Instant
from eventcore.projection import Projection
from eventcore.read_store import ReadStore
from eventcore.telemetry import ProjectionMetrics
from eventcore.write_store import WriteSnapshot, WriteStoreReader

FRESHNESS_SECONDS = 1.0
"""How often at most it is written down that a projection stands at the end of the log while nothing
happens. Less often, and answers would look old that are not."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Follower:
    """A projection on its way along the log."""

    projection: Projection
    batch_events: int
    """Size of the next batch. Halved with each failure, down to the event that is at fault."""
    checkpoint: Checkpoint | None = None
    written_at: float = 0.0
    """Monotonic time at which the checkpoint was last written."""
    failed_up_to: int = 0
    """End of the last batch that failed."""
    stopped: bool = False

    @property
    def name(self) -> str:
        return self.projection.name

    @property
    def position(self) -> int:
        return 0 if self.checkpoint is None else self.checkpoint.position


@dataclass(frozen=True, slots=True)
class _Batch:
    """What follows a position of the log, and when it was looked at."""

    events: Sequence[EventEnvelope]
    head_position: int
    time: Instant


_Batches: TypeAlias = dict[tuple[int, int], _Batch]
"""The batches of one round, by position and size: projections that go together share them."""


class ProjectionRunner:
    """Applies the log to projections. Blocking: it lives on a thread of its own.

    A projection that fails stops alone, at the event that it cannot apply: it never skips one.
    """

    def __init__(
        self,
        *,
        projections: Sequence[Projection],
        write_store: WriteStoreReader,
        read_store: ReadStore,
        metrics: ProjectionMetrics,
        clock: Callable[[], Instant],
        moved: Callable[[], None],
        batch_events_max: int,
    ) -> None:
        """Prepares to follow the log.

        Args:
            projections: All that the read store holds.
            write_store: What they follow.
            read_store: What they write.
            metrics: Shows how far they are.
            clock: The time, as the log knows it.
            moved: Called after each commit that moved a checkpoint.
            batch_events_max: Events of one transaction, at most.
        """
        self._write_store = write_store
        self._read_store = read_store
        self._metrics = metrics
        self._clock = clock
        self._moved = moved
        self._batch_events_max = batch_events_max
        self._followers = [
            _Follower(projection, batch_events_max) for projection in projections
        ]
        self._store_id: str | None = None
        for follower in self._followers:
            self._watch(follower)

    @property
    def following(self) -> Mapping[str, bool]:
        """Which projections follow the log: not before it is known to be theirs, and not after
        they have failed.
        """
        return {
            follower.name: self._store_id is not None and not follower.stopped
            for follower in self._followers
        }

    def verify(self) -> None:
        """Reads the checkpoints, and compares them with the log that they are to follow.

        Raises:
            StartFailed: the read models were made from another log.
            StoreUnavailable: a store does not answer, or is not made yet.
        """
        # First what needs no write store: the metrics tell the truth also while it is waited for.
        with self._read_store.begin() as unit:
            for follower in self._followers:
                follower.checkpoint = unit.checkpoints.get(follower.name)
        with self._write_store.snapshot() as snapshot:
            for follower in self._followers:
                if follower.checkpoint is not None:
                    _check_same_log(follower.checkpoint, snapshot)
            self._store_id = snapshot.events.head().store_id

    def advance(self) -> bool:
        """Applies a batch to each projection that is not at the end of the log.

        Returns:
            Whether there is more to apply.

        Raises:
            StoreUnavailable: a store does not answer; nothing is lost, call again.
        """
        batches: _Batches = {}
        more = False
        for follower in self._followers:
            if not follower.stopped:
                more = self._follow(follower, batches) or more
        return more

    def _follow(self, follower: _Follower, batches: _Batches) -> bool:
        """Moves one projection; whether there is more for it."""
        events: Sequence[EventEnvelope] = ()
        try:
            batch = self._read(follower, batches)
            events = batch.events
            self._apply(follower, batch)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it stops this one alone.
            return _fail(follower, error, events)
        return follower.position < batch.head_position

    def _read(self, follower: _Follower, batches: _Batches) -> _Batch:
        wanted = (follower.position, follower.batch_events)
        batch = batches.get(wanted)
        if batch is None:
            now = self._clock()
            with self._write_store.snapshot() as snapshot:
                found = snapshot.outbox.read(
                    after_position=follower.position, limit=follower.batch_events
                )
            batch = _Batch(found.events, found.head_position, now)
            batches[wanted] = batch
        return batch

    def _apply(self, follower: _Follower, batch: _Batch) -> None:
        """Applies a batch and moves the checkpoint, in one transaction."""
        started_at = time.monotonic()
        if (
            not batch.events
            and follower.checkpoint is not None
            and started_at - follower.written_at < FRESHNESS_SECONDS
        ):
            return
        before = follower.checkpoint
        checkpoint = self._next_checkpoint(follower, batch)
        with self._read_store.begin() as unit:
            if batch.events:
                follower.projection.apply(batch.events, unit.tables)
            unit.checkpoints.advance(
                checkpoint,
                expected_position=None if before is None else before.position,
            )
            unit.commit()
        follower.checkpoint = checkpoint
        follower.written_at = time.monotonic()
        if checkpoint.position >= follower.failed_up_to:
            follower.batch_events = self._batch_events_max
        if batch.events:
            self._metrics.batch_applied(
                follower.name,
                events=len(batch.events),
                seconds=follower.written_at - started_at,
            )
        if batch.events or before is None:
            self._moved()

    def _next_checkpoint(self, follower: _Follower, batch: _Batch) -> Checkpoint:
        assert self._store_id is not None, "the log is verified first"
        before = follower.checkpoint or Checkpoint(
            projection=follower.name, store_id=self._store_id
        )
        newest = batch.events[-1] if batch.events else None
        position = before.position if newest is None else newest.position
        is_complete = position == batch.head_position
        return Checkpoint(
            projection=follower.name,
            store_id=self._store_id,
            position=position,
            event_id=before.event_id if newest is None else newest.event_id,
            position_time=before.position_time
            if newest is None
            else newest.record_time,
            head_position=batch.head_position,
            complete_time=batch.time if is_complete else before.complete_time,
        )

    def _watch(self, follower: _Follower) -> None:
        def head_position() -> float:
            return follower.checkpoint.head_position if follower.checkpoint else 0

        def lag_seconds() -> float:
            if follower.checkpoint is None:
                # Nobody knows how old nothing is; 0 would say that it is up to date.
                return math.nan
            known = max(
                follower.checkpoint.complete_time, follower.checkpoint.position_time
            )
            return max(self._clock() - known, 0) / 1_000_000

        self._metrics.watch_projection(
            follower.name,
            position=lambda: follower.position,
            head_position=head_position,
            lag_seconds=lag_seconds,
        )


def _check_same_log(checkpoint: Checkpoint, snapshot: WriteSnapshot) -> None:
    """Raises `StartFailed` unless the log is the one that the checkpoint is of."""
    head = snapshot.events.head()
    if checkpoint.store_id != head.store_id:
        difference = f"store {checkpoint.store_id}, the write store is {head.store_id}"
    elif checkpoint.position > head.position:
        difference = (
            f"its position {checkpoint.position}, the log ends at {head.position}"
        )
    elif checkpoint.position and not _holds_event(checkpoint, snapshot):
        difference = f"an event at position {checkpoint.position} that the log has not"
    else:
        return
    raise StartFailed(
        f"the read model {checkpoint.projection} was made from another log: it holds "
        f"{difference}. The write store was restored or swapped. Put the right one "
        "back; or stop the projector and the read servers, remove read.db, read.db-wal "
        "and read.db-shm, and start them again: the projector makes it anew from the log"
    )


def _holds_event(checkpoint: Checkpoint, snapshot: WriteSnapshot) -> bool:
    try:
        found = snapshot.events.read_log(
            after_position=checkpoint.position - 1, limit=1
        )
    except CorruptLog:
        return False
    return found[0].event_id == checkpoint.event_id


def _fail(
    follower: _Follower, error: Exception, events: Sequence[EventEnvelope]
) -> bool:
    """Narrows a failure down to one event, and stops there; whether there is more to try."""
    if len(events) > 1 and not isinstance(error, CheckpointMoved):
        follower.failed_up_to = max(follower.failed_up_to, events[-1].position)
        follower.batch_events = len(events) // 2
        return True
    follower.stopped = True
    event = events[0] if events else None
    _log.error(
        "projection_stopped",
        projection=follower.name,
        position=follower.position,
        event_position=follower.position + 1,
        event_id=None if event is None else event.event_id,
        event_type=None if event is None else event.type,
        error=str(error) or type(error).__name__,
        remedy=_remedy(error),
        # An error of the house says all there is to say.
        exc_info=None if isinstance(error, EventCoreError) else error,
    )
    return False


def _remedy(error: Exception) -> str:
    match error:
        case CheckpointMoved():
            return "stop the other projector, then restart this one"
        case CorruptLog():
            return "put back a write store that holds the whole log, then restart the projector"
        case UnknownEvent():
            return "run the release that wrote the event, or a newer one"
        case MalformedEvent():
            return "put back a write store that has the event as it was written"
        case _:
            return "run a release that can apply the event; the other projections go on"
