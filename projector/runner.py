"""Keeps the read models at the end of the log, each for itself, and makes them anew beside that."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from eventcore.errors import (
    CheckpointMoved,
    CorruptLog,
    GenerationBehind,
    LeaseLost,
    StoreBroken,
    StoreUnavailable,
)
from eventcore.generations import Generation, Role
from eventcore.messages import EventEnvelope, Instant
from eventcore.projection import Projection
from eventcore.read_store import ReadStore
from eventcore.telemetry import ProjectionMetrics
from eventcore.write_store import WriteStoreReader
from projector.comparison import Comparisons
from projector.figures import Figures
from projector.follower import Follower
from projector.heartbeat import Heartbeat
from projector.log import LogBatch, LogRound
from projector.owned import Owned, load_all
from projector.pace import Slices
from projector.poison import failure_of, log_failure
from projector.rebuild import Rebuild
from projector.same_log import check_same_log
from projector.upkeep import Upkeep

FRESHNESS_SECONDS = 1.0
"""How often it is written down that a projector lives and how fresh its read models are, while
nothing happens. Less often, and answers would look old that are not."""

COMPARING_SECONDS = 0.05
"""How often to look for the result of a comparison."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLimits:
    """What bounds the work of a runner."""

    batch_events_max: int = 1000
    """Events of one transaction."""
    rebuild_events_max: int = 5000
    """Events of one transaction of a rebuild."""
    rebuild_share: float = 0.5
    """Of the time, for rebuilds."""
    replaced_keep_seconds: float = 86_400.0
    """How long a generation that was replaced is kept."""


class ProjectionRunner:
    """Applies the log to read models. Blocking: it lives on a thread of its own.

    A generation that fails stops alone, at the event that it cannot apply: it never skips one.
    """

    def __init__(
        self,
        *,
        projections: Sequence[Projection],
        write_store: WriteStoreReader,
        read_store: ReadStore,
        comparisons: Comparisons,
        metrics: ProjectionMetrics,
        clock: Callable[[], Instant],
        moved: Callable[[], None],
        owner: str,
        seize: bool,
        limits: RunnerLimits = RunnerLimits(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares to follow the log.

        Args:
            projections: All that this release has.
            write_store: What they follow.
            read_store: What they write.
            comparisons: Compares a rebuild with what it is to replace.
            metrics: Shows how far they are.
            clock: The time, as the log knows it.
            moved: Called after each commit with news for queries.
            owner: Names this projector, to operators and to other projectors.
            seize: Whether a projection that another one has is taken from it, because that one is
                known to be dead: who owns the file of the store knows it.
            limits: What bounds the work.
            monotonic: Seconds that only grow.
        """
        self._write_store = write_store
        self._read_store = read_store
        self._comparisons = comparisons
        self._metrics = metrics
        self._clock = clock
        self._moved = moved
        self._limits = limits
        self._monotonic = monotonic
        self._store_id: str | None = None
        self._beat_at = monotonic()
        self._owned = [
            Owned(
                projection=projection,
                new_follower=self._new_follower,
                new_rebuild=self._new_rebuild,
            )
            for projection in projections
        ]
        self._upkeep = Upkeep(
            clock=clock,
            monotonic=monotonic,
            keep_seconds=limits.replaced_keep_seconds,
        )
        self._heartbeat = Heartbeat(
            read_store=read_store,
            owned=self._owned,
            upkeep=self._upkeep,
            clock=clock,
            owner=owner,
            seize=seize,
        )
        for owned in self._owned:
            metrics.watch_projection(owned.name, Figures(owned, clock))

    @property
    def following(self) -> Mapping[str, bool]:
        """Which projections follow the log: not before it is known to be theirs, not while they are
        paused, and not after they have failed.
        """
        return {owned.name: self._is_following(owned) for owned in self._owned}

    def verify(self) -> None:
        """Takes the projections over, reads how far they are, compares that with the log that they
        are to follow, and begins to make those that there are none of for this release.

        Raises:
            StartFailed: the read models were made from another log.
            StoreUnavailable: a store does not answer, or is not made yet.
        """
        while True:
            try:
                self._take_over()
            except (LeaseLost, CheckpointMoved) as error:
                self._lost(self._of(error.projection), error)
            else:
                return

    def _take_over(self) -> None:
        # First what needs no write store: the metrics tell the truth also while it is waited for.
        self._heartbeat.beat()
        with self._write_store.snapshot() as snapshot:
            head = snapshot.events.head()
            for owned in self._owned:
                for generation in owned.generations:
                    if generation.role is not Role.DROPPING:
                        check_same_log(owned.name, generation.checkpoint, snapshot)
        with self._read_store.begin() as unit:
            for owned in self._owned:
                if owned.lease is not None:
                    self._upkeep.begin(unit, owned, owned.lease, head)
            unit.commit()
        load_all(self._read_store, self._owned)
        self._store_id = head.store_id
        self._moved()

    def advance(self) -> float:
        """Applies a batch to each generation that is not at the end of the log, and a part of a
        rebuild if its time has come.

        Returns:
            Seconds until there is more to do, if nothing tells of it before: 0 is at once.

        Raises:
            StoreUnavailable: a store does not answer; nothing is lost, call again.
        """
        assert self._store_id is not None, "the log is verified first"
        log = LogRound(self._write_store, store_id=self._store_id, clock=self._clock)
        try:
            more = self._follow_all(log)
            wait_seconds = self._rebuild_next(log, busy=more)
        except StoreBroken:
            # Nobody knows what was written: nothing more is.
            raise
        except StoreUnavailable:
            self._beat_if_due()
            raise
        except (LeaseLost, CheckpointMoved) as error:
            self._lost(self._of(error.projection), error)
            return 0.0
        if self._beat_if_due() or more:
            return 0.0
        return min(wait_seconds, self._upkeep.empty_dropped(self._read_store))

    def reload(self) -> None:
        """Takes over what an operator has changed in the store."""
        load_all(self._read_store, self._owned)
        self._moved()

    def release(self) -> None:
        """Gives the projections up, so that another projector has them at once."""
        with self._read_store.begin() as unit:
            for owned in self._owned:
                if owned.lease is not None:
                    unit.register.release(owned.lease)
            unit.commit()

    def _is_following(self, owned: Owned) -> bool:
        return (
            self._store_id is not None
            and owned.lease is not None
            and not owned.is_paused
            and owned.shown is not None
            and not owned.shown.is_failed
        )

    def _follow_all(self, log: LogRound) -> bool:
        """Moves all that go at once by a batch; whether there is more for one of them."""
        more = False
        # In a new read store there is nobody to give way to, and all can share what is read.
        is_new = self._nothing_serves
        for owned in self._owned:
            for follower in owned.at_once(rebuilding=is_new):
                if not self._may_move(owned) or follower.is_failed:
                    continue
                batch = self._step(owned, follower, log, follower.batch_events())
                if batch is None or follower.position < batch.head_position:
                    more = True
        return more

    @property
    def _nothing_serves(self) -> bool:
        return all(owned.served is None for owned in self._owned)

    def _may_move(self, owned: Owned) -> bool:
        return owned.lease is not None and not owned.is_paused

    def _rebuild_next(self, log: LogRound, *, busy: bool) -> float:
        """Moves the rebuild whose turn it is; seconds until the next one's."""
        waits = [FRESHNESS_SECONDS]
        turns: list[tuple[Owned, Rebuild]] = []
        for owned in self._owned:
            rebuild = owned.rebuild
            if rebuild is None:
                continue
            if not self._may_move(owned):
                rebuild.rest()
                continue
            was_beside = rebuild.is_beside
            rebuild.look(owned.served)
            if rebuild.can_take_over(owned.served) and self._switch(owned, rebuild):
                return 0.0
            if rebuild.is_comparing:
                waits.append(COMPARING_SECONDS)
            elif rebuild.is_beside and not was_beside:
                return 0.0
            elif not rebuild.is_beside and not rebuild.follower.is_failed:
                turns.append((owned, rebuild))
        if turns and not self._nothing_serves:
            owned, rebuild = min(turns, key=lambda turn: turn[1].slices.due)
            waits.append(self._replay(owned, rebuild, log, busy=busy))
        return min(waits)

    def _replay(
        self, owned: Owned, rebuild: Rebuild, log: LogRound, *, busy: bool
    ) -> float:
        """Applies a part of the log to a rebuild, if it is due; seconds until it is again.

        It gives way to what goes at once, but not for ever, and not while it falls behind.
        """
        slices, follower = rebuild.slices, rebuild.follower
        gives_way = busy and not rebuild.is_falling_behind
        if slices.wait_seconds() > (-FRESHNESS_SECONDS if gives_way else 0.0):
            return max(slices.wait_seconds(), 0.0)
        limit = rebuild.limit(owned.served)
        if limit <= 0:
            return COMPARING_SECONDS
        before, began = follower.position, self._monotonic()
        self._step(owned, follower, log, follower.batch_events(limit))
        slices.took(
            self._monotonic() - began,
            events=follower.position - before,
            hurry=rebuild.is_falling_behind,
        )
        return slices.wait_seconds()

    def _step(
        self, owned: Owned, follower: Follower, log: LogRound, limit: int
    ) -> LogBatch | None:
        """Moves a generation by a batch; None if that failed."""
        events: Sequence[EventEnvelope] = ()
        try:
            batch = log.read(after_position=follower.position, limit=limit)
            events = batch.events
            self._apply(owned, follower, batch)
        except (StoreUnavailable, LeaseLost, CheckpointMoved):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it stops this one alone.
            missing = error.position if isinstance(error, CorruptLog) else None
            if missing is not None and not events:
                # What comes before the hole is sound.
                if follower.stop_before(missing):
                    return None
                self._fail(owned, follower, error, events)
            elif not follower.narrow(events):
                self._fail(owned, follower, error, events)
            return None
        return batch

    def _apply(self, owned: Owned, follower: Follower, batch: LogBatch) -> None:
        """Applies a batch and moves the checkpoint, in one transaction."""
        checkpoint = follower.after(batch)
        if not batch.events:
            follower.saw(checkpoint)
            return
        assert owned.lease is not None, "only who has it applies to it"
        began = self._monotonic()
        with self._read_store.begin() as unit:
            generation = unit.generation(owned.lease, follower.number)
            wanted = follower.wanted(batch.events)
            if wanted:
                follower.projection.apply(wanted, generation.tables)
            generation.advance(checkpoint, expected_position=follower.position)
            unit.commit()
        follower.moved(checkpoint, events=len(batch.events))
        self._metrics.batch_applied(
            owned.name,
            events=len(batch.events),
            seconds=self._monotonic() - began,
        )
        if follower is owned.served:
            self._moved()

    def _fail(
        self,
        owned: Owned,
        follower: Follower,
        error: Exception,
        events: Sequence[EventEnvelope],
    ) -> None:
        """Stops a generation at the event that it cannot apply, until an operator has it go on."""
        assert owned.lease is not None, "only who has it applies to it"
        failure = failure_of(
            error,
            position=follower.position + 1,
            event=events[0] if events else None,
            now=self._clock(),
        )
        with self._read_store.begin() as unit:
            unit.generation(owned.lease, follower.number).fail(failure)
            unit.commit()
        follower.generation = replace(follower.generation, failure=failure)
        log_failure(follower.generation, failure, error)

    def _switch(self, owned: Owned, rebuild: Rebuild) -> bool:
        """Has a rebuild take the place of what serves, unless queries would go back in time."""
        assert owned.lease is not None, "only who has it changes it"
        compared, before, made = rebuild.comparison, owned.served, rebuild.follower
        try:
            with self._read_store.begin(durable=True) as unit:
                unit.held(owned.lease)
                if made.is_fresher_than_written:
                    # Queries are to see at once how fresh it is, and of which store.
                    unit.generation(owned.lease, made.number).advance(
                        made.checkpoint, expected_position=made.position
                    )
                unit.register.switch(
                    owned.name,
                    made.number,
                    now=self._clock(),
                    comparison="" if compared is None else compared.text,
                )
                unit.commit()
        except GenerationBehind as behind:
            # Another release serves more than both hold by now.
            rebuild.waits_for(behind)
            return False
        load_all(self._read_store, self._owned)
        say = _log.warning if compared is not None and compared.differs else _log.info
        say(
            "rebuild_took_over",
            projection=owned.name,
            generation=made.number,
            replaced_generation=None if before is None else before.number,
            position=made.position,
            comparison=None if compared is None else compared.text,
        )
        self._moved()
        return True

    def _lost(self, owned: Owned, error: LeaseLost | CheckpointMoved) -> None:
        """Steps back from a projection that is in other hands, or was changed by them."""
        _log.warning("projection_not_held", projection=owned.name, reason=error.message)
        if isinstance(error, LeaseLost):
            owned.forget()
        with self._read_store.begin() as unit:
            owned.load(unit.register)

    def _beat_if_due(self) -> bool:
        """Whether a projection has come into these hands, or out of them."""
        if self._monotonic() - self._beat_at < FRESHNESS_SECONDS:
            return False
        try:
            taken = self._heartbeat.beat()
        except (LeaseLost, CheckpointMoved) as error:
            # Of the others nothing is written either: the next call does it.
            self._lost(self._of(error.projection), error)
            return True
        self._beat_at = self._monotonic()
        if taken:
            self.verify()
        return taken

    def _of(self, name: str) -> Owned:
        return next(owned for owned in self._owned if owned.name == name)

    def _new_follower(
        self, projection: Projection, generation: Generation, skipped: frozenset[int]
    ) -> Follower:
        return Follower(
            projection,
            generation,
            skipped=skipped,
            batch_events_max=self._limits.batch_events_max,
            monotonic=self._monotonic,
        )

    def _new_rebuild(self, follower: Follower) -> Rebuild:
        return Rebuild(
            follower,
            slices=Slices(
                share=self._limits.rebuild_share,
                events_max=self._limits.rebuild_events_max,
                monotonic=self._monotonic,
            ),
            comparisons=self._comparisons,
            monotonic=self._monotonic,
        )
