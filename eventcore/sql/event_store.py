"""The log over SQL."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from eventcore.errors import StreamConflict
from eventcore.event_store import StreamAppend
from eventcore.log import check_contiguous, place
from eventcore.messages import (
    NO_STREAM,
    EventEnvelope,
    Instant,
    LogHead,
    StreamId,
    Trace,
)
from eventcore.sql.write_schema import events, log_head

STREAMS_PER_QUERY_MAX = 500
"""Streams that one IN query names, well below the number of parameters that a database takes."""

_HEAD = select(log_head.c.store_id, log_head.c.position, log_head.c.record_time)


def as_envelope(row: Row[Any]) -> EventEnvelope:
    """The envelope in a row of `events`."""
    return EventEnvelope(
        position=row.position,
        event_id=row.event_id,
        stream=StreamId(row.category, row.stream_id),
        stream_version=row.stream_version,
        type=row.type,
        schema_version=row.schema_version,
        record_time=row.record_time,
        payload=row.payload,
        trace=Trace(
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            actor=row.actor,
            traceparent=row.traceparent,
        ),
    )


def read_contiguous(
    connection: Connection, *, after_position: int, up_to_position: int, limit: int
) -> list[EventEnvelope]:
    """Events from `after_position` on, checked for holes up to the head of the same snapshot."""
    rows = connection.execute(
        select(events)
        .where(events.c.position > after_position)
        .order_by(events.c.position)
        .limit(limit)
    )
    envelopes = [as_envelope(row) for row in rows]
    check_contiguous(
        [envelope.position for envelope in envelopes],
        after_position=after_position,
        head_position=up_to_position,
        limit=limit,
    )
    return envelopes


def by_category(streams: Iterable[StreamId]) -> Iterator[tuple[str, list[str]]]:
    """The keys of each category, in groups that one query can name."""
    keys: dict[str, list[str]] = {}
    for stream in dict.fromkeys(streams):
        keys.setdefault(stream.category, []).append(stream.key)
    for category, names in keys.items():
        for start in range(0, len(names), STREAMS_PER_QUERY_MAX):
            yield category, names[start : start + STREAMS_PER_QUERY_MAX]


class SqlEventReader:
    """Reads the log within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def head(self) -> LogHead:
        row = self._connection.execute(_HEAD).one()
        return LogHead(
            store_id=row.store_id, position=row.position, record_time=row.record_time
        )

    def load(
        self, streams: Sequence[StreamId], *, up_to_version: int | None = None
    ) -> dict[StreamId, list[EventEnvelope]]:
        loaded: dict[StreamId, list[EventEnvelope]] = {stream: [] for stream in streams}
        for category, keys in by_category(loaded):
            query = (
                select(events)
                .where(events.c.category == category, events.c.stream_id.in_(keys))
                .order_by(events.c.stream_id, events.c.stream_version)
            )
            if up_to_version is not None:
                query = query.where(events.c.stream_version <= up_to_version)
            for row in self._connection.execute(query):
                envelope = as_envelope(row)
                loaded[envelope.stream].append(envelope)
        return loaded

    def load_tail(
        self, stream: StreamId, *, after_version: int, up_to_version: int | None = None
    ) -> list[EventEnvelope]:
        query = (
            select(events)
            .where(
                events.c.category == stream.category,
                events.c.stream_id == stream.key,
                events.c.stream_version > after_version,
            )
            .order_by(events.c.stream_version)
        )
        if up_to_version is not None:
            query = query.where(events.c.stream_version <= up_to_version)
        return [as_envelope(row) for row in self._connection.execute(query)]

    def versions(self, streams: Sequence[StreamId]) -> dict[StreamId, int]:
        versions = dict.fromkeys(streams, NO_STREAM)
        for category, keys in by_category(versions):
            query = (
                select(events.c.stream_id, func.max(events.c.stream_version))
                .where(events.c.category == category, events.c.stream_id.in_(keys))
                .group_by(events.c.stream_id)
            )
            for key, version in self._connection.execute(query):
                versions[StreamId(category, key)] = version
        return versions

    def read_log(self, *, after_position: int, limit: int) -> list[EventEnvelope]:
        return read_contiguous(
            self._connection,
            after_position=after_position,
            up_to_position=self.head().position,
            limit=limit,
        )


class SqlEventStore(SqlEventReader):
    """Appends to the log within the transaction of a connection."""

    def append(
        self, appends: Sequence[StreamAppend], *, now: Instant
    ) -> list[EventEnvelope]:
        head = self.head()
        record_time = max(now, head.record_time)
        envelopes = place(appends, after=head.position, record_time=record_time)
        if not envelopes:
            return []
        try:
            self._connection.execute(
                insert(events), [_as_row(envelope) for envelope in envelopes]
            )
        except IntegrityError as error:
            streams = [append.stream for append in appends]
            raise StreamConflict(streams) from error
        self._connection.execute(
            update(log_head).values(
                position=envelopes[-1].position, record_time=record_time
            )
        )
        return envelopes


def _as_row(envelope: EventEnvelope) -> dict[str, Any]:
    return {
        "position": envelope.position,
        "event_id": envelope.event_id,
        "category": envelope.stream.category,
        "stream_id": envelope.stream.key,
        "stream_version": envelope.stream_version,
        "type": envelope.type,
        "schema_version": envelope.schema_version,
        "record_time": envelope.record_time,
        "correlation_id": envelope.trace.correlation_id,
        "causation_id": envelope.trace.causation_id,
        "actor": envelope.trace.actor,
        "traceparent": envelope.trace.traceparent,
        "payload": envelope.payload,
    }
