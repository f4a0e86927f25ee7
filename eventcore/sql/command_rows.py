"""Commands as rows of the journal, and back."""

from typing import Any

import msgspec
from sqlalchemy import Column, Row

from eventcore.command_journal import CommandRequest, QueuedCommand, StoredCommand
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Fingerprint,
    Lane,
    StreamId,
    Trace,
)
from eventcore.sql.write_schema import commands

QUEUED_COLUMNS: tuple[Column[Any], ...] = (
    commands.c.accept_sequence,
    commands.c.command_id,
    commands.c.type,
    commands.c.category,
    commands.c.stream_id,
    commands.c.fingerprint_version,
    commands.c.fingerprint,
    commands.c.lane,
    commands.c.attempts,
    commands.c.accept_time,
)
"""What `as_queued` reads of a row: neither its request nor what it is answered with."""

RECORD_COLUMNS: tuple[Column[Any], ...] = tuple(
    column for column in commands.columns if column is not commands.c.request
)
"""What `as_record` reads of a row: a request may be long, and most who ask want none."""

_error_encoder = msgspec.json.Encoder()
_error_decoder = msgspec.json.Decoder(ErrorRecord)


def as_record(row: Row[Any]) -> CommandRecord:
    """The record in a row of `commands`."""
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
        attempts=row.attempts,
        stream_version=row.stream_version,
        position=row.position,
        event_count=row.event_count,
        error=None if row.error is None else _error_decoder.decode(row.error),
    )


def as_stored(row: Row[Any]) -> StoredCommand:
    """The command with its request in a row of `commands` that has one."""
    return StoredCommand(
        record=as_record(row),
        request=CommandRequest(
            payload=row.request, expected_version=row.expected_version
        ),
    )


def as_queued(row: Row[Any]) -> QueuedCommand:
    """The command in a row of `QUEUED_COLUMNS`."""
    return QueuedCommand(
        accept_sequence=row.accept_sequence,
        command_id=row.command_id,
        type=row.type,
        stream=StreamId(row.category, row.stream_id),
        fingerprint=Fingerprint(
            version=row.fingerprint_version, digest=row.fingerprint
        ),
        lane=Lane(row.lane),
        attempts=row.attempts,
        accept_time=row.accept_time,
    )


def new_row(
    accept_sequence: int, record: CommandRecord, request: CommandRequest | None
) -> dict[str, Any]:
    """The row of a command that was not stored before."""
    return {
        "accept_sequence": accept_sequence,
        "command_id": record.command_id,
        "type": record.type,
        "category": record.stream.category,
        "stream_id": record.stream.key,
        "fingerprint_version": record.fingerprint.version,
        "fingerprint": record.fingerprint.digest,
        "correlation_id": record.trace.correlation_id,
        "causation_id": record.trace.causation_id,
        "actor": record.trace.actor,
        "traceparent": record.trace.traceparent,
        "accept_time": record.accept_time,
        "request": None if request is None else request.payload,
        "expected_version": None if request is None else request.expected_version,
        **stage_values(record),
    }


def stage_values(record: CommandRecord) -> dict[str, Any]:
    """What a command gets with its stage."""
    error = record.error
    return {
        "stage": record.stage.value,
        "lane": record.lane.value,
        "complete_time": record.complete_time,
        "attempts": record.attempts,
        "stream_version": record.stream_version,
        "position": record.position,
        "event_count": record.event_count,
        "error": None if error is None else _error_encoder.encode(error).decode(),
    }
