"""What operators see of the write server, and how their changes are made."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from eventcore.command_journal import FailedCommand, FailedPlace, QueuedCommand
from eventcore.errors import CommandNotFound, StoreBroken
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Instant,
    Kind,
    Lane,
)
from eventcore.operators import Operator, Pause
from eventcore.telemetry import WriteMetrics
from eventcore.threads import OwnThread
from eventcore.write_administration import LaneStatus, WriteStatus
from eventcore.write_store import WriteStore, WriteUnit
from write_server.command_bus import CommandBus
from write_server.lookup import Lookup

COMMAND_DISCARDED = "COMMAND_DISCARDED"

log = structlog.get_logger()
T = TypeVar("T")


class BusAdministration:
    """Looks at the bus and the store, and changes both."""

    def __init__(
        self,
        *,
        store_id: str,
        bus: CommandBus,
        lookup: Lookup,
        store: WriteStore,
        writer_thread: OwnThread,
        clock: Callable[[], Instant],
        metrics: WriteMetrics,
        on_broken: Callable[[StoreBroken], None],
    ) -> None:
        self.store_id = store_id
        self._bus = bus
        self._lookup = lookup
        self._store = store
        self._thread = writer_thread
        self._clock = clock
        self._metrics = metrics
        self._on_broken = on_broken
        self._changing = asyncio.Lock()
        """One change at a time, so that the bus and the store agree on which was the last."""

    async def status(self) -> WriteStatus:
        head, pause, failed = await self._lookup.read(
            lambda snapshot: (
                snapshot.events.head(),
                snapshot.control.pause(),
                snapshot.journal.failed_count(),
            )
        )
        lanes = [self._lane(lane) for lane in Lane]
        return WriteStatus(
            store_id=self.store_id,
            head_position=head.position,
            lanes=lanes,
            pause=pause,
            backlog=sum(lane.backlog for lane in lanes),
            failed=failed,
        )

    async def pause(self, reason: str, *, by: Operator) -> None:
        await _to_the_end(self._pause(reason, by))

    async def _pause(self, reason: str, by: Operator) -> None:
        async with self._changing:
            was_paused = self._bus.paused
            # First the bus: what the writer has is done before the row is written, on its thread.
            self._bus.pause()
            try:
                pause = Pause(reason=reason, time=self._clock())
                await self._change(lambda unit: _paused(unit, pause))
            except BaseException:
                if not was_paused:
                    self._bus.resume()
                raise
        _log_change("execution_paused", reason, by)

    async def resume(self, reason: str, *, by: Operator) -> None:
        await _to_the_end(self._resume(reason, by))

    async def _resume(self, reason: str, by: Operator) -> None:
        async with self._changing:
            await self._change(lambda unit: unit.control.set_pause(None))
            self._bus.resume()
        _log_change("execution_resumed", reason, by)

    async def failed(
        self, *, after: FailedPlace | None, limit: int
    ) -> list[FailedCommand]:
        return await self._lookup.read(
            lambda snapshot: snapshot.journal.failed(after=after, limit=limit)
        )

    async def retry(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        return await _to_the_end(self._retry(command_ids, reason, by))

    async def _retry(
        self, command_ids: Sequence[str], reason: str, by: Operator
    ) -> list[CommandRecord]:
        async with self._changing:
            queued, records = await self._change(
                lambda unit: _requeued(unit, command_ids)
            )
            self._bus.restore(queued, now=self._clock())
            self._metrics.failed(-len(queued))
        for command in queued:
            _log_change("failed_command_retried", reason, by, command.command_id)
        return records

    async def discard(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        return await _to_the_end(self._discard(command_ids, reason, by))

    async def _discard(
        self, command_ids: Sequence[str], reason: str, by: Operator
    ) -> list[CommandRecord]:
        now = self._clock()
        async with self._changing:
            discarded, records = await self._change(
                lambda unit: _discarded(unit, command_ids, reason, now)
            )
        self._metrics.failed(-len(discarded))
        for command_id in discarded:
            _log_change("failed_command_discarded", reason, by, command_id)
        return records

    async def _change(self, change: Callable[[WriteUnit], T]) -> T:
        """Makes a change in one transaction, on the writer's thread."""

        def run() -> T:
            with self._store.begin() as unit:
                result = change(unit)
                unit.commit()
                return result

        try:
            return await self._thread.run(run)
        except StoreBroken as error:
            self._on_broken(error)
            raise

    def _lane(self, lane: Lane) -> LaneStatus:
        admission = self._bus.admission
        lanes = self._bus.lanes
        rule = lanes.rule(lane)
        oldest_since = lanes.oldest_since(lane)
        now = asyncio.get_running_loop().time()
        return LaneStatus(
            lane=lane,
            full_policy=rule.full_policy,
            depth=lanes.depth(lane),
            capacity=rule.capacity,
            holding=admission.holding(lane),
            backlog=lanes.backlog(lane),
            backlog_capacity=rule.backlog_capacity,
            oldest_age_seconds=0.0 if oldest_since is None else now - oldest_since,
            accepted_total=admission.accepted[lane],
            refused_total=admission.refused[lane],
        )


def _log_change(change: str, reason: str, by: Operator, command_id: str = "") -> None:
    """Says who has changed what, and why."""
    log.warning(
        change,
        reason=reason,
        operator=by.address,
        correlation_id=by.correlation_id,
        **({"command_id": command_id} if command_id else {}),
    )


def _paused(unit: WriteUnit, pause: Pause) -> None:
    """Paused again, it is so since the first time."""
    before = unit.control.pause()
    since = pause.time if before is None else before.time
    unit.control.set_pause(replace(pause, time=since))


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Makes a change also when its caller goes away: the bus and the store must not part."""
    return await asyncio.shield(asyncio.ensure_future(change))


def _found(unit: WriteUnit, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
    """Their records, in the order given, each once."""
    found = unit.journal.find(command_ids)
    for command_id in command_ids:
        if command_id not in found:
            raise CommandNotFound(command_id)
    return {command_id: found[command_id] for command_id in command_ids}


def _requeued(
    unit: WriteUnit, command_ids: Sequence[str]
) -> tuple[list[QueuedCommand], list[CommandRecord]]:
    found = _found(unit, command_ids)
    failed = [i for i in found if found[i].stage is CommandStage.FAILED]
    sequences = unit.journal.requeue(failed)
    after = unit.journal.find(command_ids)
    queued = [
        QueuedCommand(
            accept_sequence=sequence,
            command_id=command_id,
            type=after[command_id].type,
            stream=after[command_id].stream,
            fingerprint=after[command_id].fingerprint,
            lane=after[command_id].lane,
            attempts=after[command_id].attempts,
            accept_time=after[command_id].accept_time,
        )
        for command_id, sequence in zip(failed, sequences, strict=True)
    ]
    return queued, [after[command_id] for command_id in command_ids]


def _discarded(
    unit: WriteUnit, command_ids: Sequence[str], reason: str, now: Instant
) -> tuple[list[str], list[CommandRecord]]:
    found = _found(unit, command_ids)
    failed = [i for i in found if found[i].stage is CommandStage.FAILED]
    error = ErrorRecord(
        kind=Kind.PRECONDITION,
        reason=COMMAND_DISCARDED,
        message=f"an operator gave the command up: {reason}",
    )
    unit.journal.update(
        [
            replace(
                found[command_id],
                stage=CommandStage.DISCARDED,
                complete_time=now,
                error=error,
            )
            for command_id in failed
        ]
    )
    after = unit.journal.find(command_ids)
    return failed, [after[command_id] for command_id in command_ids]
