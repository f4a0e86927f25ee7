"""The command journal in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from eventcore.command_journal import (
    CommandRequest,
    FailedCommand,
    FailedPlace,
    QueuedCommand,
    StoredCommand,
)
from eventcore.errors import CommandIdTaken
from eventcore.memory.tables import JournalRow, Tables
from eventcore.messages import TERMINAL, CommandRecord, CommandStage


class MemoryJournal:
    """The journal as of a moment, and what a unit of work has changed in it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._commits = tables.commits
        self._requested_count = len(tables.requested)
        self._accept_sequence = tables.accept_sequence
        self._changed: dict[str, JournalRow] = {}
        self._requested: list[str] = []

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        return {row.record.command_id: row.record for row in self._rows(command_ids)}

    def stored(self, command_ids: Sequence[str]) -> dict[str, StoredCommand]:
        return {
            row.record.command_id: StoredCommand(record=row.record, request=row.request)
            for row in self._rows(command_ids)
            if row.request is not None
        }

    def queued(self, *, after_sequence: int, limit: int) -> list[QueuedCommand]:
        rows = sorted(
            (
                row
                for row in self._in_stage(CommandStage.ACCEPTED)
                if row.accept_sequence > after_sequence
            ),
            key=lambda row: row.accept_sequence,
        )
        return [
            QueuedCommand(
                accept_sequence=row.accept_sequence,
                command_id=row.record.command_id,
                type=row.record.type,
                stream=row.record.stream,
                fingerprint=row.record.fingerprint,
                lane=row.record.lane,
                attempts=row.record.attempts,
                accept_time=row.record.accept_time,
            )
            for row in rows[:limit]
        ]

    def failed(self, *, after: FailedPlace | None, limit: int) -> list[FailedCommand]:
        places = [
            (row.record.complete_time, row.accept_sequence, row)
            for row in self._in_stage(CommandStage.FAILED)
        ]
        if after is not None:
            end = (after.fail_time, after.accept_sequence)
            places = [place for place in places if place[:2] < end]
        places.sort(key=lambda place: place[:2], reverse=True)
        return [
            FailedCommand(
                stored=StoredCommand(record=row.record, request=row.request),
                place=FailedPlace(fail_time=fail_time, accept_sequence=sequence),
            )
            for fail_time, sequence, row in places[:limit]
            if row.request is not None
        ]

    def failed_count(self) -> int:
        return sum(1 for _ in self._in_stage(CommandStage.FAILED))

    def add(self, records: Sequence[CommandRecord]) -> None:
        for record in records:
            self._insert(record, None)

    def accept(self, commands: Sequence[StoredCommand]) -> list[int]:
        self._requested.extend(command.record.command_id for command in commands)
        return [self._insert(command.record, command.request) for command in commands]

    def begin_attempts(self, command_ids: Sequence[str]) -> None:
        for row in self._rows(list(dict.fromkeys(command_ids))):
            if row.record.stage is CommandStage.ACCEPTED:
                attempts = row.record.attempts + 1
                self._put(replace(row, record=replace(row.record, attempts=attempts)))

    def update(self, records: Sequence[CommandRecord]) -> None:
        for record in records:
            row = self._row(record.command_id)
            if row is None or row.record.stage in TERMINAL:
                raise ValueError(
                    "a command is not stored, or not in a stage to be changed"
                )
            changed = replace(
                row.record,
                stage=record.stage,
                lane=record.lane,
                complete_time=record.complete_time,
                attempts=record.attempts,
                stream_version=record.stream_version,
                position=record.position,
                event_count=record.event_count,
                error=record.error,
            )
            request = None if record.stage in TERMINAL else row.request
            self._put(replace(row, record=changed, request=request))

    def requeue(self, command_ids: Sequence[str]) -> list[int]:
        return [self._requeue(command_id) for command_id in command_ids]

    def commit(self) -> None:
        """Shows what was changed, as part of the commit that its store is counting."""
        tables = self._tables
        for command_id, row in self._changed.items():
            tables.journal.put(command_id, row, commit=tables.commits)
        tables.requested.extend(self._requested)
        tables.accept_sequence = self._accept_sequence

    def _insert(self, record: CommandRecord, request: CommandRequest | None) -> int:
        if self._row(record.command_id) is not None:
            raise CommandIdTaken
        sequence = self._next_sequence()
        self._put(JournalRow(accept_sequence=sequence, record=record, request=request))
        return sequence

    def _requeue(self, command_id: str) -> int:
        row = self._row(command_id)
        if row is None or row.record.stage is not CommandStage.FAILED:
            raise ValueError("a command is not stored, or not in a stage to be changed")
        sequence = self._next_sequence()
        record = replace(
            row.record,
            stage=CommandStage.ACCEPTED,
            attempts=0,
            complete_time=0,
            error=None,
        )
        self._put(replace(row, accept_sequence=sequence, record=record))
        return sequence

    def _next_sequence(self) -> int:
        self._accept_sequence += 1
        return self._accept_sequence

    def _put(self, row: JournalRow) -> None:
        self._changed[row.record.command_id] = row

    def _row(self, command_id: str) -> JournalRow | None:
        changed = self._changed.get(command_id)
        return changed or self._tables.journal.get(command_id, commits=self._commits)

    def _rows(self, command_ids: Sequence[str]) -> Iterator[JournalRow]:
        for command_id in command_ids:
            row = self._row(command_id)
            if row is not None:
                yield row

    def _in_stage(self, stage: CommandStage) -> Iterator[JournalRow]:
        requested = self._tables.requested[: self._requested_count] + self._requested
        return (row for row in self._rows(requested) if row.record.stage is stage)
