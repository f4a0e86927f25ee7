"""What is read for callers: outcomes, views and validations, on a thread and a connection apart.

So they neither wait for the writer nor hold it up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from eventcore.aggregate import CommandHandlers
from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import CommandQueueFull, StoreBroken
from eventcore.gathering import Gathering
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    StreamId,
)
from eventcore.threads import OwnThread
from eventcore.write_store import WriteSnapshot, WriteStoreReader
from write_server.aggregates import Loaded
from write_server.batch import stored_outcome
from write_server.decisions import Decision, decide
from write_server.jobs import HandlerBroke, Job
from write_server.loading import load_as_of

LOOK_UP_IDS_MAX = 500
"""Ids that one look-up in the journal asks for; more wait for the next one."""

VALIDATING_MAX = 1000
"""Commands that are validated at once, in all calls together."""

T = TypeVar("T")


class Lookup:
    """Reads the write store for callers."""

    def __init__(
        self,
        *,
        reader: WriteStoreReader,
        thread: OwnThread,
        handlers: CommandHandlers,
        on_broken: Callable[[StoreBroken], None],
    ) -> None:
        """Args:
        reader: Opens the snapshots.
        thread: Owns the reader's connection.
        handlers: Of the commands.
        on_broken: Is told when the store failed in a way after which only a restart can go on.
        """
        self._reader = reader
        self._thread = thread
        self._handlers = handlers
        self._on_broken = on_broken
        self._validating = 0
        self._journal: Gathering[str, CommandRecord] = Gathering(
            self.find_all, keys_max=LOOK_UP_IDS_MAX
        )

    async def find(self, command_id: str) -> CommandRecord | None:
        """What is stored of a command."""
        return await self._journal.find(command_id)

    async def find_all(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        """What is stored of some commands, by their ids."""
        return await self.read(lambda snapshot: snapshot.journal.find(command_ids))

    async def with_view(self, receipt: Receipt) -> Receipt:
        """The receipt with what clients saw of the aggregate as of the command's version."""
        record = receipt.record
        if receipt.view is not None or record.stage is not CommandStage.COMMITTED:
            return receipt
        aggregate = self._handlers.aggregate_of(record.type)
        loaded = await self.read(
            lambda snapshot: load_as_of(
                snapshot, record.stream, aggregate, record.stream_version
            )
        )
        return replace(receipt, view=loaded.view)

    async def validate(
        self,
        envelopes: Sequence[CommandEnvelope],
        *,
        full: Callable[[CommandEnvelope], CommandQueueFull],
    ) -> list[Outcome]:
        """What would become of commands that are executed one after the other now.

        Raises:
            CommandQueueFull: `full` of the first, if too many are validated at once.
        """
        if self._validating + len(envelopes) > VALIDATING_MAX:
            raise full(envelopes[0])
        self._validating += len(envelopes)
        try:
            outcomes = await self.read(
                lambda snapshot: self._validated(snapshot, envelopes)
            )
        finally:
            self._validating -= len(envelopes)
        return [
            await self.with_view(outcome) if isinstance(outcome, Receipt) else outcome
            for outcome in outcomes
        ]

    async def read(self, look: Callable[[WriteSnapshot], T]) -> T:
        """What a look at one moment of the store returns.

        Raises:
            StoreUnavailable: the store does not answer.
        """

        def run() -> T:
            with self._reader.snapshot() as snapshot:
                return look(snapshot)

        try:
            return await self._thread.run(run)
        except StoreBroken as error:
            self._on_broken(error)
            raise

    def _validated(
        self, snapshot: WriteSnapshot, envelopes: Sequence[CommandEnvelope]
    ) -> list[Outcome]:
        known = snapshot.journal.find([e.command_id for e in envelopes])
        loaded: dict[StreamId, Loaded] = {}
        outcomes: list[Outcome] = []
        for envelope in envelopes:
            record = known.get(envelope.command_id)
            if record is not None:
                outcomes.append(stored_outcome(record, envelope))
                continue
            try:
                outcomes.append(self._would_be(snapshot, envelope, loaded))
            except StoreBroken:
                raise
            except Exception as error:  # noqa: BLE001 - one that breaks spoils only itself.
                broke = HandlerBroke(f"{envelope.type} cannot be validated")
                broke.__cause__ = error
                outcomes.append(broke)
        return outcomes

    def _would_be(
        self,
        snapshot: WriteSnapshot,
        envelope: CommandEnvelope,
        loaded: dict[StreamId, Loaded],
    ) -> Outcome:
        stream = envelope.stream
        if stream not in loaded:
            aggregate = self._handlers.aggregate_of(envelope.type)
            loaded[stream] = load_as_of(snapshot, stream, aggregate)
        decided = decide(envelope, loaded[stream], new_event_id=str)
        if not isinstance(decided, Decision):
            return decided
        if decided.refusal is not None:
            record = _not_executed(envelope, CommandStage.REFUSED)
            return Receipt(record=replace(record, error=decided.refusal.record()))
        record = _not_executed(envelope, CommandStage.VALIDATED)
        count = len(decided.new_events)
        return Receipt(record=replace(record, event_count=count))


def _not_executed(envelope: CommandEnvelope, stage: CommandStage) -> CommandRecord:
    """The record of a command of which nothing is stored: it has no times and no attempts."""
    record = Job(envelope).record(stage, now=0)
    return replace(record, attempts=0)
