"""The command journal over SQL."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Update,
    bindparam,
    func,
    insert,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from eventcore.command_journal import (
    FailedCommand,
    FailedPlace,
    QueuedCommand,
    StoredCommand,
)
from eventcore.errors import CommandIdTaken
from eventcore.messages import TERMINAL, CommandRecord, CommandStage
from eventcore.sql.command_rows import (
    QUEUED_COLUMNS,
    RECORD_COLUMNS,
    as_queued,
    as_record,
    as_stored,
    new_row,
    stage_values,
)
from eventcore.sql.write_schema import commands, is_accepted, is_failed

IDS_PER_QUERY_MAX = 500
"""Ids that one IN query names, well below the number of parameters that a database takes."""

_BY_ID = commands.c.command_id == bindparam("of_command")
_NOT_TERMINAL = is_accepted | is_failed

_NEWEST = select(func.max(commands.c.accept_sequence))
_UPDATE = update(commands).where(_BY_ID, _NOT_TERMINAL)
_COMPLETE = _UPDATE.values(request=null(), expected_version=null())
_REQUEUE = (
    update(commands)
    .where(_BY_ID, is_failed)
    .values(
        accept_sequence=bindparam("new_sequence"),
        stage=CommandStage.ACCEPTED.value,
        attempts=0,
        complete_time=0,
        error=null(),
    )
)


class SqlJournalReader:
    """Reads the journal within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        found: dict[str, CommandRecord] = {}
        for ids in _chunks(command_ids):
            query = select(*RECORD_COLUMNS).where(commands.c.command_id.in_(ids))
            for row in self._connection.execute(query):
                found[row.command_id] = as_record(row)
        return found

    def stored(self, command_ids: Sequence[str]) -> dict[str, StoredCommand]:
        found: dict[str, StoredCommand] = {}
        for ids in _chunks(command_ids):
            query = select(commands).where(
                commands.c.command_id.in_(ids), _NOT_TERMINAL
            )
            for row in self._connection.execute(query):
                found[row.command_id] = as_stored(row)
        return found

    def queued(self, *, after_sequence: int, limit: int) -> list[QueuedCommand]:
        query = (
            select(*QUEUED_COLUMNS)
            .where(is_accepted, commands.c.accept_sequence > after_sequence)
            .order_by(commands.c.accept_sequence)
            .limit(limit)
        )
        return [as_queued(row) for row in self._connection.execute(query)]

    def failed(self, *, after: FailedPlace | None, limit: int) -> list[FailedCommand]:
        place = tuple_(commands.c.complete_time, commands.c.accept_sequence)
        query = (
            select(commands)
            .where(is_failed)
            .order_by(
                commands.c.complete_time.desc(), commands.c.accept_sequence.desc()
            )
            .limit(limit)
        )
        if after is not None:
            query = query.where(place < (after.fail_time, after.accept_sequence))
        return [
            FailedCommand(
                stored=as_stored(row),
                place=FailedPlace(
                    fail_time=row.complete_time, accept_sequence=row.accept_sequence
                ),
            )
            for row in self._connection.execute(query)
        ]

    def failed_count(self) -> int:
        query = select(func.count()).select_from(commands).where(is_failed)
        return int(self._connection.execute(query).scalar_one())


class SqlCommandJournal(SqlJournalReader):
    """Changes the journal within the transaction of a connection."""

    def add(self, records: Sequence[CommandRecord]) -> None:
        if not records:
            return
        first = self._next_sequence()
        self._insert(
            [new_row(first + i, record, None) for i, record in enumerate(records)]
        )

    def accept(self, commands: Sequence[StoredCommand]) -> list[int]:
        if not commands:
            return []
        first = self._next_sequence()
        self._insert(
            [
                new_row(first + i, command.record, command.request)
                for i, command in enumerate(commands)
            ]
        )
        return list(range(first, first + len(commands)))

    def begin_attempts(self, command_ids: Sequence[str]) -> None:
        for ids in _chunks(list(dict.fromkeys(command_ids))):
            self._connection.execute(
                update(commands)
                .where(commands.c.command_id.in_(ids), is_accepted)
                .values(attempts=commands.c.attempts + 1)
            )

    def update(self, records: Sequence[CommandRecord]) -> None:
        terminal = [record for record in records if record.stage in TERMINAL]
        others = [record for record in records if record.stage not in TERMINAL]
        for statement, group in ((_COMPLETE, terminal), (_UPDATE, others)):
            rows = [
                {"of_command": record.command_id, **stage_values(record)}
                for record in group
            ]
            self._change(statement, rows)

    def requeue(self, command_ids: Sequence[str]) -> list[int]:
        first = self._next_sequence()
        sequences = list(range(first, first + len(command_ids)))
        self._change(
            _REQUEUE,
            [
                {"of_command": command_id, "new_sequence": sequence}
                for command_id, sequence in zip(command_ids, sequences, strict=True)
            ],
        )
        return sequences

    def _next_sequence(self) -> int:
        return (self._connection.execute(_NEWEST).scalar_one() or 0) + 1

    def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        try:
            self._connection.execute(insert(commands), rows)
        except IntegrityError as error:
            raise CommandIdTaken from error

    def _change(self, statement: Update, rows: Sequence[dict[str, Any]]) -> None:
        """Changes one command for each row.

        Raises:
            ValueError: a row has no command in a stage to be changed. An outcome that finds none
                must not be committed: its events would be there, and its queue would not move.
        """
        if rows and self._connection.execute(statement, rows).rowcount != len(rows):
            raise ValueError("a command is not stored, or not in a stage to be changed")


def _chunks(command_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(command_ids), IDS_PER_QUERY_MAX):
        yield command_ids[start : start + IDS_PER_QUERY_MAX]
