"""Executes a batch of commands in one transaction: decide, append, remember, commit.

The group commit is what makes a durable command cost a fraction of an fsync. Each command still
stands alone: one that is refused, or whose handler breaks, spoils only itself. One that breaks is
stored to be tried again, and the later commands of its stream wait behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from eventcore.aggregate import CommandHandlers
from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import (
    CommandIdReused,
    StoreBroken,
    StoreUnavailable,
    StreamConflict,
)
from eventcore.event_store import StreamAppend
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    EventEnvelope,
    Instant,
    Lane,
    StreamId,
)
from eventcore.write_store import WriteStore, WriteUnit
from write_server.aggregates import AggregateCache, Loaded, assume_new
from write_server.decisions import Decision, decide
from write_server.jobs import HandlerBroke, Job, with_request
from write_server.loading import load_all
from write_server.snapshotting import Snapshotting

log = structlog.get_logger()


class _Doubt(Exception):
    """What was assumed may be wrong."""


@dataclass(slots=True)
class Run:
    """What a batch has come to so far."""

    retry_room: dict[Lane, int]
    """How many more commands of each lane may be stored to be tried again."""
    blocked: set[StreamId] = field(default_factory=set)
    """Streams with a command that is tried again: their later ones wait."""

    def take_room(self, job: Job) -> None:
        """Counts a command that is stored. Those behind a broken one are, whatever room is left."""
        lane = job.envelope.lane
        self.retry_room[lane] = self.retry_room.get(lane, 0) - 1

    def copy(self) -> "Run":
        """The same, to be changed by one attempt."""
        return Run(dict(self.retry_room), set(self.blocked))

    def become(self, other: "Run") -> None:
        """Takes over what an attempt that was committed has changed."""
        self.retry_room, self.blocked = other.retry_room, other.blocked


@dataclass(slots=True)
class _Decided:
    """What the commands of a batch come to, before anything is stored."""

    decisions: list[tuple[Job, Decision]] = field(default_factory=list)
    broken: list[tuple[Job, HandlerBroke]] = field(default_factory=list)
    """To be tried again."""
    failed: list[tuple[Job, HandlerBroke]] = field(default_factory=list)
    """Given up."""
    behind: list[Job] = field(default_factory=list)
    """They come after a broken one."""


def stored_outcome(record: CommandRecord, envelope: CommandEnvelope) -> Outcome:
    """The answer to a command whose id is in the journal: the outcome there, if it is the same."""
    if record.fingerprint != envelope.fingerprint:
        return CommandIdReused(envelope.command_id)
    return Receipt(record=record, deduplicated=True)


class BatchExecutor:
    """Executes batches, one at a time, on the thread that owns the write store."""

    def __init__(
        self,
        *,
        store: WriteStore,
        handlers: CommandHandlers,
        clock: Callable[[], Instant],
        new_event_id: Callable[[], str],
        cache: AggregateCache,
        snapshotting: Snapshotting,
        attempts_max: int,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._new_event_id = new_event_id
        self._cache = cache
        self._snapshotting = snapshotting
        self._attempts_max = attempts_max

    def execute(
        self, jobs: Sequence[Job], *, retry_room: Mapping[Lane, int]
    ) -> list[Outcome]:
        """Executes the commands, in order, and returns the outcome of each.

        The ids in a batch are different ones. A receipt of a command that was executed before
        comes without its view. A receipt that is ACCEPTED is of a command that broke and is tried
        again, or that comes behind one; it is stored.

        Raises:
            StoreUnavailable: what became of the commands is not known.
        """
        return self._execute(jobs, Run(dict(retry_room)))

    def _execute(self, jobs: Sequence[Job], run: Run) -> list[Outcome]:
        try:
            return self._execute_together(jobs, run)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the fault of one must not spoil the others.
            if len(jobs) == 1:
                return [self._not_stored(jobs[0], error, run)]
        # One of them holds what the database will not take. Alone, it fails alone.
        return self._execute_one_by_one(jobs, run)

    def _execute_one_by_one(self, jobs: Sequence[Job], run: Run) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for job in jobs:
            try:
                outcomes += self._execute([job], run)
            except StoreBroken:
                raise
            except StoreUnavailable as error:
                # Those before it are committed, and have to hear of it. Those behind it are not
                # tried: if the store was there again for them, they would come before it.
                outcomes += [error] * (len(jobs) - len(outcomes))
                break
        return outcomes

    def _execute_together(self, jobs: Sequence[Job], run: Run) -> list[Outcome]:
        try:
            return self._attempt(jobs, run, assuming=True)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001, S110 - if no assumption is to blame, it happens again.
            pass
        # An assumption was wrong, or may be: a command_id is a repeated one, an order exists, or
        # the cache is behind the log. Nothing was stored; now ids and versions are looked up first.
        # Histories are read only where the cache is no help: retries come when there is most to
        # do, and one of them must not have all streams of its batch read again.
        return self._attempt(jobs, run, assuming=False)

    def _not_stored(self, job: Job, error: Exception, run: Run) -> Outcome:
        """Keeps a command whose outcome the database will not take, as one that broke."""
        broke = HandlerBroke(f"{job.envelope.type} cannot be stored")
        broke.__cause__ = error
        try:
            return self._attempt([replace(job, fault=broke)], run, assuming=False)[0]
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - not even the command itself can be stored.
            return broke

    def _attempt(
        self, jobs: Sequence[Job], run: Run, *, assuming: bool
    ) -> list[Outcome]:
        """One transaction.

        Assuming, it takes new ids for new, orders to be placed for absent, and the cache for true;
        the keys of the store find out if they are not. That saves the look-ups of every batch in
        which all is as it mostly is.
        """
        mine = run.copy()
        try:
            with self._store.begin() as unit:
                repeated = {} if assuming else _repeated(unit, jobs)
                fresh = [job for job in jobs if job.command_id not in repeated]
                loaded = self._load(unit, fresh, assuming=assuming)
                decided = self._decide(fresh, loaded, mine)
                if assuming and (decided.broken or decided.failed):
                    # It broke on what was only assumed; and a repeated command has its outcome
                    # whatever its handler does now.
                    raise _Doubt  # noqa: TRY301 - as any other wrong assumption.
                stored = self._store_decided(unit, decided)
                unit.commit()
        except BaseException as error:
            if not assuming or isinstance(error, StoreUnavailable):
                self._cache.evict(job.stream for job in jobs)
            raise
        run.become(mine)
        self._keep(loaded)
        _log_faults(decided)
        outcomes = repeated | stored
        return [outcomes[job.command_id] for job in jobs]

    def _keep(self, loaded: Mapping[StreamId, Loaded | HandlerBroke]) -> None:
        """Takes in what is committed."""
        sound = {
            stream: found
            for stream, found in loaded.items()
            if isinstance(found, Loaded)
        }
        self._cache.keep(sound)
        self._snapshotting.note(sound)

    def _load(
        self, unit: WriteUnit, jobs: Sequence[Job], *, assuming: bool
    ) -> dict[StreamId, Loaded | HandlerBroke]:
        loaded: dict[StreamId, Loaded | HandlerBroke] = {}
        missing: dict[StreamId, Any] = {}
        # One that cannot be read needs no aggregate, and may be of a type that is gone.
        readable = [job for job in reversed(jobs) if job.fault is None]
        first = {job.stream: job.envelope for job in readable}
        versions = {} if assuming else unit.events.versions(list(first))
        for stream, envelope in first.items():
            aggregate = self._handlers.aggregate_of(envelope.type)
            cached = self._cache.get(stream)
            if cached is not None and (assuming or cached.version == versions[stream]):
                cached.assumed = assuming
                loaded[stream] = cached
            elif assuming and type(envelope.command) in aggregate.creates:
                loaded[stream] = assume_new(aggregate)
            else:
                missing[stream] = aggregate
        return loaded | load_all(unit, missing)

    def _decide(
        self,
        jobs: Sequence[Job],
        loaded: Mapping[StreamId, Loaded | HandlerBroke],
        run: Run,
    ) -> _Decided:
        decided = _Decided()
        for job in jobs:
            if job.stream in run.blocked:
                if job.accepted is None:
                    run.take_room(job)
                decided.behind.append(job)
                continue
            found: Any = job.fault or loaded[job.stream]
            if isinstance(found, Loaded):
                found = decide(job.envelope, found, new_event_id=self._new_event_id)
                if isinstance(found, Decision):
                    decided.decisions.append((job, found))
                    continue
            if self._may_try_again(job, run):
                run.blocked.add(job.stream)
                decided.broken.append((job, found))
            else:
                decided.failed.append((job, found))
        return decided

    def _may_try_again(self, job: Job, run: Run) -> bool:
        if job.attempts >= self._attempts_max:
            return False
        if job.accepted is None:
            if run.retry_room.get(job.envelope.lane, 0) < 1:
                return False
            run.take_room(job)
        return True

    def _store_decided(self, unit: WriteUnit, decided: _Decided) -> dict[str, Outcome]:
        _confirm(unit, [decision for _, decision in decided.decisions])
        now = self._clock()
        appended = unit.events.append(
            [
                StreamAppend(
                    stream=decision.envelope.stream,
                    expected_version=decision.version_before,
                    events=decision.new_events,
                )
                for _, decision in decided.decisions
                if decision.new_events
            ],
            now=now,
        )
        unit.outbox.add([envelope.position for envelope in appended])
        if appended:
            now = appended[0].record_time
        receipts: list[tuple[Job, Receipt]] = []
        place = 0
        for job, decision in decided.decisions:
            envelopes = appended[place : place + len(decision.new_events)]
            place += len(envelopes)
            receipts.append((job, _receipt(job, decision, envelopes, now)))
        unit.journal.add([r.record for job, r in receipts if job.accepted is None])
        done = [r.record for job, r in receipts if job.accepted is not None]
        outcomes = {receipt.record.command_id: receipt for _, receipt in receipts}
        outcomes |= self._store_unsettled(unit, decided, done, now)
        return dict(outcomes)

    def _store_unsettled(
        self,
        unit: WriteUnit,
        decided: _Decided,
        done: list[CommandRecord],
        now: Instant,
    ) -> dict[str, Receipt]:
        """Stores those that were given up, and those that are executed later."""
        failed = [(job, job.failed(e.__cause__, now)) for job, e in decided.failed]
        later = [
            (job, job.record(CommandStage.ACCEPTED, now)) for job, _ in decided.broken
        ]
        behind = [(job, _behind(job, now)) for job in decided.behind]
        kept = [*failed, *later, *behind]
        new = [(job, record) for job, record in kept if job.accepted is None]
        if new:
            unit.journal.accept(
                [with_request(self._handlers, job.envelope, r) for job, r in new]
            )
        # Those behind give back the attempt that was counted for them, and not made.
        done += [
            record for job, record in [*failed, *behind] if job.accepted is not None
        ]
        if done:
            unit.journal.update(done)
        return {record.command_id: Receipt(record=record) for _, record in kept}


def _behind(job: Job, now: Instant) -> CommandRecord:
    """The record of a command that waits behind one that broke: it was not attempted."""
    record = job.record(CommandStage.ACCEPTED, now)
    return replace(record, attempts=job.attempts - 1)


def _repeated(unit: WriteUnit, jobs: Sequence[Job]) -> dict[str, Outcome]:
    """The outcomes of those whose ids are in the journal, and not by themselves."""
    fresh = {job.command_id: job.envelope for job in jobs if job.accepted is None}
    records = unit.journal.find(list(fresh))
    return {
        command_id: stored_outcome(record, fresh[command_id])
        for command_id, record in records.items()
    }


def _log_faults(decided: _Decided) -> None:
    for outcome, jobs in (("retry", decided.broken), ("failed", decided.failed)):
        for job, broke in jobs:
            log.error(
                "command_broke",
                type=job.envelope.type,
                command_id=job.command_id,
                correlation_id=job.envelope.trace.correlation_id,
                attempt=job.attempts,
                outcome=outcome,
                exc_info=broke,
            )


def _confirm(unit: WriteUnit, decisions: Sequence[Decision]) -> None:
    """Makes sure that what is decided without an event was decided on the truth.

    An append finds out by itself that an aggregate was not what it was taken for. A refusal, or
    work that was done before, appends nothing, and would be stored for ever.
    """
    appending = {d.envelope.stream for d in decisions if d.new_events}
    quiet = {
        decision.envelope.stream: decision.loaded.version
        for decision in decisions
        if decision.loaded.assumed and decision.envelope.stream not in appending
    }
    if quiet and unit.events.versions(list(quiet)) != quiet:
        raise StreamConflict(list(quiet))


def _receipt(
    job: Job, decision: Decision, envelopes: Sequence[EventEnvelope], now: Instant
) -> Receipt:
    loaded = decision.loaded
    loaded.stored(decision.events, envelopes)
    if decision.refusal is not None:
        error = decision.refusal.record()
        return Receipt(record=job.record(CommandStage.REFUSED, now, error=error))
    record = job.record(
        CommandStage.COMMITTED,
        now,
        stream_version=decision.version_before + len(envelopes),
        position=loaded.position,
        event_count=len(envelopes),
    )
    return Receipt(record=record, view=loaded.view)
