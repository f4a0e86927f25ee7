"""Events, commands and outcomes for tests of the machinery, with nothing of orders in them."""

import itertools

from eventcore.event_store import StreamAppend
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    Fingerprint,
    Lane,
    NewEvent,
    StreamId,
    Trace,
)

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
