"""The command journal over SQL."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from eventcore.errors import CommandIdTaken
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    Fingerprint,
    Lane,
    RefusalRecord,
    StreamId,
    Trace,
)
from eventcore.sql.write_schema import commands

IDS_PER_QUERY_MAX = 500
"""Ids that one IN query names, well below the number of parameters that a database takes."""

_refusal_encoder = msgspec.json.Encoder()
_refusal_decoder = msgspec.json.Decoder(RefusalRecord)


class SqlJournalReader:
    """Reads the journal within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        found: dict[str, CommandRecord] = {}
        for start in range(0, len(command_ids), IDS_PER_QUERY_MAX):
            ids = command_ids[start : start + IDS_PER_QUERY_MAX]
            query = select(commands).where(commands.c.command_id.in_(ids))
            for row in self._connection.execute(query):
                found[row.command_id] = _as_record(row)
        return found


class SqlCommandJournal(SqlJournalReader):
    """Adds to the journal within the transaction of a connection."""

    def add(self, records: Sequence[CommandRecord]) -> None:
        if not records:
            return
        try:
            self._connection.execute(
                insert(commands), [_as_row(record) for record in records]
            )
        except IntegrityError as error:
            raise CommandIdTaken from error


def _as_record(row: Row[Any]) -> CommandRecord:
    return CommandRecord(
        command_id=row.command_id,
        type=row.type,
        stream=StreamId(row.category, row.stream_id),
        fingerprint=Fingerprint(
            version=row.fingerprint_version, digest=row.fingerprint
        ),
        stage=CommandStage(row.stage),
        lane=Lane(row.lane),
        trace=Trace(
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            actor=row.actor,
            traceparent=row.traceparent,
        ),
        accept_time=row.accept_time,
        complete_time=row.complete_time,
        stream_version=row.stream_version,
        position=row.position,
        event_count=row.event_count,
        refusal=None if row.refusal is None else _refusal_decoder.decode(row.refusal),
    )


def _as_row(record: CommandRecord) -> dict[str, Any]:
    refusal = record.refusal
    return {
        "command_id": record.command_id,
        "type": record.type,
        "category": record.stream.category,
        "stream_id": record.stream.key,
        "fingerprint_version": record.fingerprint.version,
        "fingerprint": record.fingerprint.digest,
        "stage": record.stage.value,
        "lane": record.lane.value,
        "correlation_id": record.trace.correlation_id,
        "causation_id": record.trace.causation_id,
        "actor": record.trace.actor,
        "traceparent": record.trace.traceparent,
        "accept_time": record.accept_time,
        "complete_time": record.complete_time,
        "stream_version": record.stream_version,
        "position": record.position,
        "event_count": record.event_count,
        "refusal": None
        if refusal is None
        else _refusal_encoder.encode(refusal).decode(),
    }
