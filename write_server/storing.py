"""Commands on their way to and from the disk: stored to be executed later, and begun."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from eventcore.aggregate import CommandHandlers
from eventcore.command_gateway import Outcome, Receipt
from eventcore.command_journal import StoredCommand
from eventcore.errors import CommandIdTaken, StoreBroken, StoreUnavailable
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    Instant,
)
from eventcore.write_store import WriteStore, WriteUnit
from write_server.batch import stored_outcome
from write_server.jobs import HandlerBroke, Job, Task, failure, with_request


class CommandStoring:
    """Stores commands, and begins their attempts, on the thread that owns the write store."""

    def __init__(
        self,
        *,
        store: WriteStore,
        handlers: CommandHandlers,
        clock: Callable[[], Instant],
        attempts_max: int,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._attempts_max = attempts_max
        self._begun: set[str] = set()
        """Commands whose attempt is counted and has not come to an end: the store was away."""

    def store(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        """Stores commands to be executed later, in order, in one transaction.

        Returns:
            For each its receipt, ACCEPTED; the outcome of an earlier one of that id; or why it is
            not stored.

        Raises:
            StoreUnavailable: whether they are stored is not known.
        """
        try:
            return self._store_together(envelopes)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - what the database will not take spoils only itself.
            if len(envelopes) == 1:
                broke = HandlerBroke(f"{envelopes[0].type} cannot be stored")
                broke.__cause__ = error
                return [broke]
        return self._store_one_by_one(envelopes)

    def _store_one_by_one(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for envelope in envelopes:
            try:
                outcomes += self.store([envelope])
            except StoreBroken:
                raise
            except StoreUnavailable as error:
                # Those before it are stored, and those behind it must not come before it.
                outcomes += [error] * (len(envelopes) - len(outcomes))
                break
        return outcomes

    def _store_together(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        try:
            return self._store_once(envelopes, assuming=True)
        except CommandIdTaken:
            return self._store_once(envelopes, assuming=False)

    def _store_once(
        self, envelopes: Sequence[CommandEnvelope], *, assuming: bool
    ) -> list[Outcome]:
        now = self._clock()
        outcomes: dict[str, Outcome] = {}
        with self._store.begin() as unit:
            if not assuming:
                found = unit.journal.find([e.command_id for e in envelopes])
                outcomes = {
                    e.command_id: stored_outcome(found[e.command_id], e)
                    for e in envelopes
                    if e.command_id in found
                }
            fresh = [e for e in envelopes if e.command_id not in outcomes]
            records = [_accepted(envelope, now) for envelope in fresh]
            unit.journal.accept(
                [
                    with_request(self._handlers, envelope, record)
                    for envelope, record in zip(fresh, records, strict=True)
                ]
            )
            unit.commit()
        receipts = {record.command_id: Receipt(record=record) for record in records}
        outcomes |= receipts
        return [outcomes[envelope.command_id] for envelope in envelopes]

    def begin(self, tasks: Sequence[Task]) -> tuple[list[Job], dict[str, Outcome]]:
        """Makes ready what is to be executed, and counts the attempts of those that are stored.

        The count is committed before the attempts run: a command that ends its process is not
        tried for ever.

        Returns:
            What is to be executed, in order; and the outcomes of those that are not: given up now,
            or settled before.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        ids = [task.command_id for task in tasks if task.envelope is None]
        if not ids:
            return [Job(t.envelope) for t in tasks if t.envelope is not None], {}
        with self._store.begin() as unit:
            stored = {
                command_id: command
                for command_id, command in unit.journal.stored(ids).items()
                if command.record.stage is CommandStage.ACCEPTED
            }
            begun = [i for i in ids if i in stored and i not in self._begun]
            unit.journal.begin_attempts(begun)
            outcomes = self._not_to_be_executed(unit, ids, stored, begun)
            unit.commit()
        self._begun.update(begun)
        self._begun.difference_update(outcomes)
        jobs = []
        for task in tasks:
            if task.envelope is not None:
                jobs.append(Job(task.envelope))
            elif task.command_id not in outcomes:
                jobs.append(self._job(stored[task.command_id], begun))
        return jobs, outcomes

    def ended(self, command_id: str) -> None:
        """Notes that an attempt has come to an end: a later one is counted anew."""
        self._begun.discard(command_id)

    def _not_to_be_executed(
        self,
        unit: WriteUnit,
        ids: Sequence[str],
        stored: dict[str, StoredCommand],
        begun: Sequence[str],
    ) -> dict[str, Outcome]:
        """Gives up those that had all their attempts, and finds what became of the others."""
        exhausted = [
            _exhausted(stored[i].record, self._clock())
            for i in begun
            if stored[i].record.attempts >= self._attempts_max
        ]
        if exhausted:
            unit.journal.update(exhausted)
        settled = unit.journal.find([i for i in ids if i not in stored])
        return {
            record.command_id: Receipt(record=record)
            for record in [*exhausted, *settled.values()]
        }

    def _job(self, command: StoredCommand, begun: Sequence[str]) -> Job:
        record = command.record
        if record.command_id in begun:
            record = replace(record, attempts=record.attempts + 1)
        fault = None
        content: object = None
        try:
            content = self._handlers.command_of(record.type, command.request.payload)
        except Exception as error:  # noqa: BLE001 - what cannot be read spoils only itself.
            fault = HandlerBroke("the request of a stored command cannot be read")
            fault.__cause__ = error
        envelope = CommandEnvelope(
            command_id=record.command_id,
            type=record.type,
            stream=record.stream,
            command=content,
            expected_version=command.request.expected_version,
            fingerprint=record.fingerprint,
            trace=record.trace,
            lane=record.lane,
        )
        return Job(envelope, accepted=record, fault=fault)


def _accepted(envelope: CommandEnvelope, now: Instant) -> CommandRecord:
    return replace(Job(envelope).record(CommandStage.ACCEPTED, now), attempts=0)


def _exhausted(record: CommandRecord, now: Instant) -> CommandRecord:
    return replace(
        record,
        stage=CommandStage.FAILED,
        complete_time=now,
        error=failure(record.attempts, None),
    )
