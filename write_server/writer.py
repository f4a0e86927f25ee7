"""The writer: one task that stores and executes what the bus holds, batch after batch.

It does not linger to fill a batch: the commit in progress gathers the next one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.messages import CommandEnvelope, CommandStage, Lane
from eventcore.telemetry import WriteMetrics
from eventcore.threads import OwnThread
from write_server.command_bus import CommandBus
from write_server.entries import Entry
from write_server.execution import Execution
from write_server.jobs import Task
from write_server.pace import Pace

STORE_AWAY_SECONDS = 0.25
"""How long stored commands wait for a store that does not answer, until they are tried again."""

log = structlog.get_logger()


class Writer:
    """Takes work from the bus, has it done on the writer's thread, and gives the outcomes back."""

    def __init__(
        self,
        *,
        bus: CommandBus,
        execution: Execution,
        thread: OwnThread,
        pace: Pace,
        metrics: WriteMetrics,
        batch_commands_max: int,
        on_appended: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._execution = execution
        self._thread = thread
        self._pace = pace
        self._metrics = metrics
        self._batch_commands_max = batch_commands_max
        self._on_appended = on_appended

    async def run(self) -> None:
        """Works until the bus is closed and drained.

        Raises:
            StoreBroken: the store failed in a way after which only what is on disk can be trusted.
                Every caller got the error, and nothing more is executed.
        """
        try:
            while work := await self._bus.take(self._batch_commands_max):
                # In this order: of one stream, what is executed came before what is stored, and
                # after a crash the later must not be there without the earlier.
                if work.to_execute:
                    await self._execute(work.to_execute)
                if work.to_store:
                    await self._store(work.to_store)
                if self._execution.snapshots_are_due:
                    await self._thread.run(self._execution.write_snapshots)
                while self._execution.pruning_is_due:
                    pruned = await self._thread.run(self._execution.prune_outbox)
                    self._metrics.outbox_pruned(pruned)
        except BaseException:
            # Whatever ended the writer, nobody may be left waiting for it.
            self._bus.fail_all(StoreUnavailable())
            raise

    async def _store(self, entries: Sequence[Entry]) -> None:
        envelopes = [_envelope(entry) for entry in entries]
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._thread.run(lambda: self._execution.store(envelopes))
        except StoreBroken:
            raise
        except StoreUnavailable as error:
            _log_store_unavailable(error, entries)
            outcomes = [error] * len(entries)
        self._bus.stored(entries, outcomes)

    async def _execute(self, entries: Sequence[Entry]) -> None:
        began = time.perf_counter()
        tasks = [
            Task(entry.command_id, None if entry.stored else _envelope(entry))
            for entry in entries
        ]
        room = {lane: self._bus.lanes.backlog_room(lane) for lane in Lane}
        outcomes: Sequence[Outcome]
        try:
            outcomes = await self._thread.run(
                lambda: self._execution.execute(tasks, retry_room=room)
            )
        except StoreBroken:
            raise
        except StoreUnavailable as error:
            _log_store_unavailable(error, entries)
            outcomes = [error] * len(entries)
        seconds = time.perf_counter() - began
        if not all(isinstance(outcome, StoreUnavailable) for outcome in outcomes):
            self._pace.observe(len(entries), seconds)
        in_background = [entry for entry in entries if entry.stored]
        self._bus.settle(entries, outcomes)
        self._observe(outcomes, seconds)
        if in_background:
            await self._after_stored(in_background, entries, outcomes)

    async def _after_stored(
        self,
        stored: Sequence[Entry],
        entries: Sequence[Entry],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Says what became of commands that nobody may be waiting for, and has them wait for a
        store that is away.
        """
        by_entry = dict(zip(entries, outcomes, strict=True))
        away = False
        for entry in stored:
            outcome = by_entry[entry]
            if isinstance(outcome, Receipt):
                self._metrics.executed_later(outcome.record)
                _log_executed(outcome)
            else:
                away = True
        if away:
            await asyncio.sleep(STORE_AWAY_SECONDS)

    def _observe(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        stored = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, Receipt) and not outcome.deduplicated
        ]
        if not stored:
            return
        failed = sum(r.record.stage is CommandStage.FAILED for r in stored)
        self._metrics.failed(failed)
        events = sum(receipt.record.event_count for receipt in stored)
        self._metrics.batch_committed(
            commands=len(stored), events=events, seconds=seconds
        )
        if events:
            self._on_appended()


def _envelope(entry: Entry) -> CommandEnvelope:
    """The command as the writer gets it: in the lane that it has queued in."""
    envelope = entry.envelope
    assert envelope is not None  # It is in memory.
    if envelope.lane is entry.lane:
        return envelope
    return replace(envelope, lane=entry.lane)


def _log_store_unavailable(error: StoreUnavailable, entries: Sequence[Entry]) -> None:
    log.warning("store_unavailable", commands=len(entries), cause=str(error.__cause__))


def _log_executed(receipt: Receipt) -> None:
    """The log line of a command whose call was answered before it was executed."""
    record = receipt.record
    if record.stage is CommandStage.ACCEPTED:
        return  # It is tried again, which is told where it broke.
    error = record.error
    log.info(
        "command_executed",
        type=record.type,
        outcome=record.stage.value,
        reason="" if error is None else error.rule or error.reason,
        command_id=record.command_id,
        **{f"{record.stream.category}_id": record.stream.key},
        version=record.stream_version,
        position=record.position,
        correlation_id=record.trace.correlation_id,
        causation_id=record.trace.causation_id,
        lane=record.lane.value,
        attempts=record.attempts,
    )
