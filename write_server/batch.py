"""Executes a batch of commands in one transaction: decide, append, remember, commit.

The group commit is what makes a durable command cost a fraction of an fsync. Each command still
stands alone: one that is refused, or whose handler breaks, spoils only itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventcore.aggregate import CommandHandlers
from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    EventCoreError,
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
    StreamId,
)
from eventcore.write_store import WriteStore, WriteUnit
from write_server.aggregates import AggregateCache, Loaded, assume_new, fold
from write_server.decisions import Decision, HandlerBroke, decide

Outcome = Receipt | EventCoreError
"""What became of a command: a receipt of what is stored, or why nothing is known to be."""


class _Doubt(Exception):
    """What was assumed may be wrong."""


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
        aggregates_max: int,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._new_event_id = new_event_id
        self._cache = AggregateCache(aggregates_max)

    def execute(self, batch: Sequence[CommandEnvelope]) -> list[Outcome]:
        """Executes the commands, in order, and returns the outcome of each.

        The ids in a batch are different ones. A receipt of a command that was executed before
        comes without its view.

        Raises:
            StoreUnavailable: what became of the commands is not known.
        """
        try:
            return self._execute_together(batch)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the fault of one must not spoil the others.
            if len(batch) == 1:
                broke = HandlerBroke(f"{batch[0].type} cannot be stored")
                broke.__cause__ = error
                return [broke]
        # One of them holds what the database will not take. Alone, it fails alone.
        return [self._execute_alone(envelope) for envelope in batch]

    def _execute_alone(self, envelope: CommandEnvelope) -> Outcome:
        try:
            return self.execute([envelope])[0]
        except StoreBroken:
            raise
        except StoreUnavailable as error:
            # Those before it are committed, and have to hear of it.
            return error

    def _execute_together(self, batch: Sequence[CommandEnvelope]) -> list[Outcome]:
        try:
            return self._attempt(batch, assuming=True)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - what does not hang on an assumption happens again.
            # An assumption was wrong, or may be: a command_id is a repeated one, an order exists,
            # or the cache is behind the log. Nothing was stored; now ids and versions are looked
            # up first. Histories are read only where the cache is no help: retries come when there
            # is most to do, and one of them must not have all streams of its batch read again.
            return self._attempt(batch, assuming=False)

    def _attempt(
        self, batch: Sequence[CommandEnvelope], *, assuming: bool
    ) -> list[Outcome]:
        """One transaction.

        Assuming, it takes new ids for new, orders to be placed for absent, and the cache for true;
        the keys of the store find out if they are not. That saves the look-ups of every batch in
        which all is as it mostly is.
        """
        try:
            with self._store.begin() as unit:
                repeated = {} if assuming else self._repeated(unit, batch)
                fresh = [e for e in batch if e.command_id not in repeated]
                loaded = self._load(unit, fresh, assuming=assuming)
                broken, decisions = self._decide(fresh, loaded)
                if assuming:
                    _doubt_if(broken)
                stored = self._store_decisions(unit, decisions)
                unit.commit()
        except BaseException as error:
            if not assuming or isinstance(error, StoreUnavailable):
                self._cache.evict(envelope.stream for envelope in batch)
            raise
        self._cache.keep(
            {
                stream: found
                for stream, found in loaded.items()
                if isinstance(found, Loaded)
            }
        )
        outcomes = repeated | broken | stored
        return [outcomes[envelope.command_id] for envelope in batch]

    def _repeated(
        self, unit: WriteUnit, batch: Sequence[CommandEnvelope]
    ) -> dict[str, Outcome]:
        records = unit.journal.find([envelope.command_id for envelope in batch])
        return {
            envelope.command_id: stored_outcome(records[envelope.command_id], envelope)
            for envelope in batch
            if envelope.command_id in records
        }

    def _load(
        self, unit: WriteUnit, batch: Sequence[CommandEnvelope], *, assuming: bool
    ) -> dict[StreamId, Loaded | HandlerBroke]:
        loaded: dict[StreamId, Loaded | HandlerBroke] = {}
        missing: dict[StreamId, Any] = {}
        first = {envelope.stream: envelope for envelope in reversed(batch)}
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
        if missing:
            for stream, envelopes in unit.events.load(list(missing)).items():
                loaded[stream] = _fold(missing[stream], envelopes)
        return loaded

    def _decide(
        self,
        batch: Sequence[CommandEnvelope],
        loaded: Mapping[StreamId, Loaded | HandlerBroke],
    ) -> tuple[dict[str, Outcome], list[Decision]]:
        """What broke, by its id, and what was decided of the others."""
        broken: dict[str, Outcome] = {}
        decisions: list[Decision] = []
        for envelope in batch:
            found = loaded[envelope.stream]
            if isinstance(found, Loaded):
                decided = decide(envelope, found, new_event_id=self._new_event_id)
                if isinstance(decided, Decision):
                    decisions.append(decided)
                    continue
                found = decided
            broken[envelope.command_id] = found
        return broken, decisions

    def _store_decisions(
        self, unit: WriteUnit, decisions: Sequence[Decision]
    ) -> dict[str, Outcome]:
        _confirm(unit, decisions)
        now = self._clock()
        appended = unit.events.append(
            [
                StreamAppend(
                    stream=decision.envelope.stream,
                    expected_version=decision.version_before,
                    events=decision.new_events,
                )
                for decision in decisions
                if decision.new_events
            ],
            now=now,
        )
        unit.outbox.add([envelope.position for envelope in appended])
        if appended:
            now = appended[0].record_time
        receipts: dict[str, Outcome] = {}
        records = []
        place = 0
        for decision in decisions:
            envelopes = appended[place : place + len(decision.new_events)]
            place += len(envelopes)
            receipt = _receipt(decision, envelopes, now)
            receipts[receipt.record.command_id] = receipt
            records.append(receipt.record)
        unit.journal.add(records)
        return receipts


def _doubt_if(broken: Mapping[str, Outcome]) -> None:
    """A handler broke on what was only assumed; and a repeated command has its outcome whatever
    its handler does now.
    """
    if broken:
        raise _Doubt


def _fold(aggregate: Any, envelopes: Sequence[EventEnvelope]) -> Loaded | HandlerBroke:
    try:
        return fold(aggregate, envelopes)
    except Exception as error:  # noqa: BLE001 - a stream that cannot be read spoils only its own.
        broke = HandlerBroke("the events of a stream cannot be read")
        broke.__cause__ = error
        return broke


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
    decision: Decision, envelopes: Sequence[EventEnvelope], now: Instant
) -> Receipt:
    loaded = decision.loaded
    loaded.stored(decision.events, envelopes)
    committed = decision.refusal is None
    envelope = decision.envelope
    record = CommandRecord(
        command_id=envelope.command_id,
        type=envelope.type,
        stream=envelope.stream,
        fingerprint=envelope.fingerprint,
        stage=CommandStage.COMMITTED if committed else CommandStage.REFUSED,
        lane=envelope.lane,
        trace=envelope.trace,
        accept_time=now,
        complete_time=now,
        stream_version=decision.version_before + len(envelopes) if committed else 0,
        position=loaded.position if committed else 0,
        event_count=len(envelopes),
        refusal=None if decision.refusal is None else decision.refusal.record(),
    )
    return Receipt(record=record, view=loaded.view if committed else None)
