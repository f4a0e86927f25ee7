"""The writer: one task that executes what the bus holds, batch after batch.

It does not linger to fill a batch: the commit in progress gathers the next one.
"""

import time
from collections.abc import Callable, Sequence

import structlog

from eventcore.command_gateway import Receipt
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.telemetry import WriteMetrics
from eventcore.threads import OwnThread
from write_server.batch import BatchExecutor, Outcome
from write_server.command_bus import CommandBus, Entry
from write_server.pace import Pace

log = structlog.get_logger()


class Writer:
    """Takes batches from the bus, executes each in one transaction, and gives the outcomes back."""

    def __init__(
        self,
        *,
        bus: CommandBus,
        executor: BatchExecutor,
        thread: OwnThread,
        pace: Pace,
        metrics: WriteMetrics,
        batch_commands_max: int,
        on_appended: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._executor = executor
        self._thread = thread
        self._pace = pace
        self._metrics = metrics
        self._batch_commands_max = batch_commands_max
        self._on_appended = on_appended

    async def run(self) -> None:
        """Executes until the bus is closed and drained.

        Raises:
            StoreBroken: the store failed in a way after which only what is on disk can be trusted.
                Every caller got the error, and nothing more is executed.
        """
        try:
            while batch := await self._bus.take(self._batch_commands_max):
                began = time.perf_counter()
                outcomes = await self._execute(batch)
                seconds = time.perf_counter() - began
                self._pace.observe(len(batch), seconds)
                self._bus.settle(batch, outcomes)
                self._observe(outcomes, seconds)
        except BaseException:
            # Whatever ended the writer, nobody may be left waiting for it.
            self._bus.fail_all(StoreUnavailable())
            raise

    async def _execute(self, batch: Sequence[Entry]) -> Sequence[Outcome]:
        envelopes = [entry.envelope for entry in batch]
        try:
            return await self._thread.run(lambda: self._executor.execute(envelopes))
        except StoreBroken:
            raise
        except StoreUnavailable as error:
            log.warning(
                "store_unavailable", commands=len(batch), cause=str(error.__cause__)
            )
            return [error] * len(batch)

    def _observe(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        stored = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, Receipt) and not outcome.deduplicated
        ]
        if not stored:
            return
        events = sum(receipt.record.event_count for receipt in stored)
        self._metrics.batch_committed(
            commands=len(stored), events=events, seconds=seconds
        )
        if events:
            self._on_appended()
