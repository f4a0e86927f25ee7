"""Events, commands and outcomes for tests of the machinery, with nothing of orders in them."""

import itertools
from dataclasses import replace

from eventcore.command_journal import CommandRequest, StoredCommand
from eventcore.event_store import StreamAppend
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Fingerprint,
    Instant,
    Kind,
    Lane,
    NewEvent,
    StreamId,
    Trace,
)
from eventcore.snapshots import Snapshot

_numbers = itertools.count(1)


def an_id() -> str:
    """A UUID that no other call has returned."""
    return f"01900000-0000-7000-8000-{next(_numbers):012x}"


def a_stream(category: str = "thing") -> StreamId:
    return StreamId(category, an_id())


def a_new_event(payload: str = '{"n":1}', type: str = "ThingHappened") -> NewEvent:  # noqa: A002
    return NewEvent(
        event_id=an_id(),
        type=type,
        schema_version=1,
        payload=payload,
        trace=Trace(
            correlation_id="flow",
            causation_id="command",
            actor="somebody",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    )


def an_append(
    stream: StreamId, *, expected_version: int = 0, count: int = 1
) -> StreamAppend:
    return StreamAppend(
        stream=stream,
        expected_version=expected_version,
        events=[a_new_event() for _ in range(count)],
    )


def a_record(command_id: str, stream: StreamId | None = None) -> CommandRecord:
    return CommandRecord(
        command_id=command_id,
        type="DoThing",
        stream=stream or a_stream(),
        fingerprint=Fingerprint(version=1, digest=b"0123456789abcdef"),
        stage=CommandStage.COMMITTED,
        lane=Lane.NORMAL,
        trace=Trace(correlation_id="flow"),
        accept_time=5,
        complete_time=6,
        stream_version=1,
        position=1,
        event_count=1,
    )


def an_accepted(
    command_id: str,
    stream: StreamId | None = None,
    *,
    expected_version: int | None = None,
) -> StoredCommand:
    """A command that is stored to be executed later."""
    record = replace(
        a_record(command_id, stream),
        stage=CommandStage.ACCEPTED,
        complete_time=0,
        attempts=0,
        stream_version=0,
        position=0,
        event_count=0,
    )
    return StoredCommand(
        record=record,
        request=CommandRequest(
            payload=f'{{"of":"{command_id}"}}', expected_version=expected_version
        ),
    )


def failed(record: CommandRecord, *, fail_time: Instant = 9) -> CommandRecord:
    """The same command, given up after its attempts."""
    return replace(
        record,
        stage=CommandStage.FAILED,
        complete_time=fail_time,
        attempts=5,
        error=ErrorRecord(
            kind=Kind.FAULT,
            reason="COMMAND_FAILED",
            message="the command failed",
            facts={"cause": "ZeroDivisionError"},
        ),
    )


def a_failed(command_id: str, *, fail_time: Instant = 9) -> StoredCommand:
    """A command that was given up after its attempts."""
    accepted = an_accepted(command_id)
    return replace(accepted, record=failed(accepted.record, fail_time=fail_time))


def a_snapshot(stream: StreamId, *, stream_version: int = 1) -> Snapshot:
    return Snapshot(
        stream=stream,
        stream_version=stream_version,
        position=stream_version,
        schema_version=1,
        payload=b"as of %d" % stream_version,
    )
