"""A generation of a read model on its way along the log."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from eventcore.checkpoints import Checkpoint
from eventcore.generations import Generation, Progress, Role
from eventcore.messages import EventEnvelope
from eventcore.projection import Projection
from projector.log import LogBatch
from projector.pace import Rate


class Follower:
    """Knows how far a generation is, how much it takes at a time, and what it leaves out."""

    def __init__(
        self,
        projection: Projection,
        generation: Generation,
        *,
        skipped: frozenset[int],
        batch_events_max: int,
        monotonic: Callable[[], float],
    ) -> None:
        self.projection = projection
        self.generation = generation
        """As it was when it was last read or written."""
        self.skipped = skipped
        self.rate = Rate(monotonic)
        self.progress = Progress()
        """As it was last reported."""
        self._batch_events_max = batch_events_max
        self._batch_events = batch_events_max
        self._failed_up_to = 0
        self._written = generation.checkpoint
        self._has_looked = False

    @property
    def number(self) -> int:
        return self.generation.number

    @property
    def role(self) -> Role:
        return self.generation.role

    @property
    def checkpoint(self) -> Checkpoint:
        return self.generation.checkpoint

    @property
    def position(self) -> int:
        return self.checkpoint.position

    @property
    def is_failed(self) -> bool:
        return self.generation.failure is not None

    @property
    def is_fresher_than_written(self) -> bool:
        """Whether it knows more of how fresh it is than the store does."""
        return self.checkpoint != self._written

    @property
    def is_at_the_end(self) -> bool:
        """Whether it held the whole log when it last looked at it. What the store tells of the end
        of the log may be from long ago.
        """
        return self._has_looked and self.position >= self.checkpoint.head_position

    def batch_events(self, wanted: int | None = None) -> int:
        """How many events to take next: as many as may be, or fewer if something is at fault."""
        most = self._batch_events_max if wanted is None else wanted
        return (
            min(most, self._batch_events)
            if self._failed_up_to > self.position
            else most
        )

    def wanted(self, events: Sequence[EventEnvelope]) -> Sequence[EventEnvelope]:
        """Those of the events that no operator has had left out."""
        if not self.skipped:
            return events
        return [event for event in events if event.position not in self.skipped]

    def after(self, batch: LogBatch) -> Checkpoint:
        """The checkpoint behind a batch that was read."""
        self._has_looked = True
        newest = batch.events[-1] if batch.events else None
        before = self.checkpoint
        position = before.position if newest is None else newest.position
        is_complete = position == batch.head_position
        # It held the whole log also when its newest event was stored, which was the end of it then.
        # A time that the clock has not come to yet, because it was set back, tells nothing.
        complete_time = before.complete_time
        if newest is not None:
            complete_time = max(complete_time, newest.record_time)
        complete_time = batch.time if is_complete else min(complete_time, batch.time)
        return Checkpoint(
            store_id=batch.store_id,
            position=position,
            event_id=before.event_id if newest is None else newest.event_id,
            position_time=before.position_time
            if newest is None
            else newest.record_time,
            head_position=batch.head_position,
            complete_time=complete_time,
        )

    def saw(self, checkpoint: Checkpoint) -> None:
        """Notes how fresh it is; the store learns it with the next heartbeat."""
        self.generation = replace(self.generation, checkpoint=checkpoint)

    def moved(self, checkpoint: Checkpoint, *, events: int) -> None:
        """Notes that a checkpoint is in the store."""
        self.saw(checkpoint)
        self._written = checkpoint
        self.rate.add(events)

    def narrow(self, events: Sequence[EventEnvelope]) -> bool:
        """Has fewer events taken at a time, after a batch has failed.

        Returns:
            Whether the next batch is smaller; False if it was a single event already.
        """
        if len(events) <= 1:
            return False
        self._failed_up_to = max(self._failed_up_to, events[-1].position)
        self._batch_events = len(events) // 2
        return True

    def stop_before(self, position: int) -> bool:
        """Has it go as far as a position that is not there, and no further.

        Returns:
            Whether there is something in between; False if it stands right before it.
        """
        self._failed_up_to = position - 1
        self._batch_events = position - 1 - self.position
        return self._batch_events > 0

    def reloaded(self, generation: Generation, skipped: frozenset[int]) -> None:
        """Takes over what the store has, but for what is known to be fresher of its freshness."""
        fresher = self.checkpoint if self.is_fresher_than_written else None
        kept = (
            fresher is not None and fresher.position == generation.checkpoint.position
        )
        if self.is_failed and generation.failure is None:
            self._failed_up_to = 0
        self.generation = generation
        self._written = generation.checkpoint
        self.skipped = skipped
        if fresher is not None and kept:
            self.saw(fresher)
