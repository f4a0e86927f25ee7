"""Where calls meet the bus, the journal and the log: the gateway that servicers use."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from eventcore.aggregate import CommandHandlers
from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandNotFound,
    CommandQueueFull,
    EventCoreError,
    InvalidFields,
    ShuttingDown,
)
from eventcore.gathering import Gathering
from eventcore.messages import CommandEnvelope, CommandRecord, CommandStage, Trace
from eventcore.telemetry import CommandOutcome, WriteMetrics
from eventcore.threads import OwnThread
from eventcore.write_store import WriteStoreReader
from write_server.aggregates import fold
from write_server.batch import stored_outcome
from write_server.command_bus import CommandBus

log = structlog.get_logger()

LOOK_UP_IDS_MAX = 500
"""Ids that one look-up in the journal asks for; more wait for the next one."""


class BusGateway:
    """Executes commands through the bus, and answers repeated ones from the journal.

    Reads go through a connection and a thread of their own, so that they neither wait for the
    writer nor hold it up.
    """

    def __init__(
        self,
        *,
        store_id: str,
        bus: CommandBus,
        reader: WriteStoreReader,
        reader_thread: OwnThread,
        handlers: CommandHandlers,
        metrics: WriteMetrics,
    ) -> None:
        self.store_id = store_id
        self._bus = bus
        self._reader = reader
        self._thread = reader_thread
        self._handlers = handlers
        self._metrics = metrics
        self._journal: Gathering[str, CommandRecord] = Gathering(
            self._look_up, keys_max=LOOK_UP_IDS_MAX
        )

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float
    ) -> Receipt:
        began = time.perf_counter()
        try:
            receipt = await self._receipt(envelope, wait_seconds)
        except Exception as error:
            self._ended_without_receipt(envelope, error, began)
            raise
        except asyncio.CancelledError:
            self._ended(envelope, CommandOutcome.ABANDONED, began)
            raise
        self._ended_with_receipt(envelope, receipt, began)
        return receipt

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        self._metrics.command_ended(command_type, CommandOutcome.MALFORMED)
        log.info(
            "command",
            type=command_type,
            outcome=CommandOutcome.MALFORMED.value,
            reason=error.reason,
            command_id=command_id,
            fields=[violation.field for violation in error.violations],
            correlation_id=trace.correlation_id,
            causation_id=trace.causation_id,
        )

    async def find(self, command_id: str) -> Receipt:
        record = await self._journal.find(command_id)
        if record is None:
            raise CommandNotFound(command_id)
        return Receipt(record=record)

    async def _receipt(self, envelope: CommandEnvelope, wait_seconds: float) -> Receipt:
        try:
            receipt = await self._bus.submit(envelope, wait_seconds=wait_seconds)
        except CommandQueueFull:
            # Room is for new commands. One that was executed before needs none: its outcome is
            # what it always was.
            record = await self._journal.find(envelope.command_id)
            if record is None:
                raise
            outcome = stored_outcome(record, envelope)
            if isinstance(outcome, EventCoreError):
                raise outcome from None
            receipt = outcome
        record = receipt.record
        if receipt.view is None and record.stage is CommandStage.COMMITTED:
            return await self._thread.run(lambda: self._with_view(receipt))
        return receipt

    def _with_view(self, receipt: Receipt) -> Receipt:
        """Folds what clients saw of the aggregate as of the command's version."""
        record = receipt.record
        with self._reader.snapshot() as snapshot:
            history = snapshot.events.load(
                [record.stream], up_to_version=record.stream_version
            )
        aggregate = self._handlers.aggregate_of(record.type)
        return replace(receipt, view=fold(aggregate, history[record.stream]).view)

    async def _look_up(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        return await self._thread.run(lambda: self._find(command_ids))

    def _find(self, command_ids: Sequence[str]) -> Mapping[str, CommandRecord]:
        with self._reader.snapshot() as snapshot:
            return snapshot.journal.find(command_ids)

    def _ended_with_receipt(
        self, envelope: CommandEnvelope, receipt: Receipt, began: float
    ) -> None:
        record = receipt.record
        refusal = record.refusal
        if receipt.deduplicated:
            outcome = CommandOutcome.DEDUPLICATED
        elif refusal is None:
            outcome = CommandOutcome.COMMITTED
        else:
            outcome = CommandOutcome.REFUSED
            self._metrics.command_refused(
                reason=refusal.reason, rule=refusal.rule, lane=record.lane
            )
        reason = "" if refusal is None else refusal.rule or refusal.reason
        self._ended(envelope, outcome, began, record=record, reason=reason)

    def _ended_without_receipt(
        self, envelope: CommandEnvelope, error: Exception, began: float
    ) -> None:
        if isinstance(error, CommandQueueFull):
            self._metrics.command_refused(reason=error.reason, lane=error.lane)
        nothing_stored = isinstance(
            error, CommandQueueFull | CommandIdReused | ShuttingDown
        )
        outcome = (
            CommandOutcome.NOT_ACCEPTED if nothing_stored else CommandOutcome.FAILED
        )
        known = error if isinstance(error, EventCoreError) else EventCoreError
        self._ended(envelope, outcome, began, reason=known.reason)

    def _ended(
        self,
        envelope: CommandEnvelope,
        outcome: CommandOutcome,
        began: float,
        *,
        record: CommandRecord | None = None,
        reason: str = "",
    ) -> None:
        """The one log line of a command, and its count."""
        self._metrics.command_ended(envelope.type, outcome)
        stream = envelope.stream if record is None else record.stream
        log.info(
            "command",
            type=envelope.type,
            outcome=outcome.value,
            reason=reason,
            command_id=envelope.command_id,
            **{f"{stream.category}_id": stream.key},
            version=0 if record is None else record.stream_version,
            position=0 if record is None else record.position,
            correlation_id=envelope.trace.correlation_id,
            causation_id=envelope.trace.causation_id,
            lane=(record or envelope).lane.value,
            milliseconds=round((time.perf_counter() - began) * 1000, 2),
        )
