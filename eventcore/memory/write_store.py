"""The write store in memory."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from eventcore.errors import CommandIdTaken, StreamConflict
from eventcore.event_store import StreamAppend
from eventcore.log import check_contiguous, place
from eventcore.messages import (
    CommandRecord,
    EventEnvelope,
    Instant,
    LogHead,
    StreamId,
)
from eventcore.outbox import OutboxBatch


@dataclass(slots=True)
class _Tables:
    """What is committed. Lists only grow, so that a length is a snapshot."""

    store_id: str
    log: list[EventEnvelope] = field(default_factory=list)
    streams: dict[StreamId, list[EventEnvelope]] = field(default_factory=dict)
    outbox: list[int] = field(default_factory=list)
    journal: dict[str, tuple[int, CommandRecord]] = field(default_factory=dict)
    """Each record with the number of the commit that stored it."""
    commits: int = 0
    committing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a commit shows itself, so that a snapshot sees all of it or nothing."""


class MemoryEvents:
    """The log as of a moment, and what a unit of work has appended to it."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables
        self._length = len(tables.log)
        self.appended: list[EventEnvelope] = []

    def head(self) -> LogHead:
        newest = self._newest()
        return LogHead(
            store_id=self._tables.store_id,
            position=0 if newest is None else newest.position,
            record_time=0 if newest is None else newest.record_time,
        )

    def load(
        self, streams: Sequence[StreamId], *, up_to_version: int | None = None
    ) -> dict[StreamId, list[EventEnvelope]]:
        return {
            stream: [
                envelope
                for envelope in self._stream(stream)
                if up_to_version is None or envelope.stream_version <= up_to_version
            ]
            for stream in streams
        }

    def versions(self, streams: Sequence[StreamId]) -> dict[StreamId, int]:
        return {stream: len(self._stream(stream)) for stream in streams}

    def read_log(self, *, after_position: int, limit: int) -> list[EventEnvelope]:
        log = self._tables.log[: self._length] + self.appended
        envelopes = log[after_position : after_position + limit]
        check_contiguous(
            [envelope.position for envelope in envelopes],
            after_position=after_position,
            head_position=len(log),
            limit=limit,
        )
        return envelopes

    def append(
        self, appends: Sequence[StreamAppend], *, now: Instant
    ) -> list[EventEnvelope]:
        head = self.head()
        versions = self.versions([append.stream for append in appends])
        for append in appends:
            if versions[append.stream] != append.expected_version:
                raise StreamConflict([append.stream])
            versions[append.stream] += len(append.events)
        record_time = max(now, head.record_time)
        envelopes = place(appends, after=head.position, record_time=record_time)
        self.appended.extend(envelopes)
        return envelopes

    def _newest(self) -> EventEnvelope | None:
        if self.appended:
            return self.appended[-1]
        return self._tables.log[self._length - 1] if self._length else None

    def _stream(self, stream: StreamId) -> list[EventEnvelope]:
        committed = self._tables.streams.get(stream, [])
        return [
            envelope for envelope in committed if envelope.position <= self._length
        ] + [envelope for envelope in self.appended if envelope.stream == stream]


class MemoryJournal:
    """The journal as of a moment, and what a unit of work has added to it."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables
        self._commits = tables.commits
        self.added: dict[str, CommandRecord] = {}

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        found: dict[str, CommandRecord] = {}
        for command_id in command_ids:
            commit, record = self._tables.journal.get(command_id, (0, None))
            if record is not None and commit <= self._commits:
                found[command_id] = record
            elif command_id in self.added:
                found[command_id] = self.added[command_id]
        return found

    def add(self, records: Sequence[CommandRecord]) -> None:
        for record in records:
            if self.find([record.command_id]):
                raise CommandIdTaken
            self.added[record.command_id] = record


class MemoryOutbox:
    """The outbox as of a moment, and what a unit of work has put into it."""

    def __init__(self, tables: _Tables, events: MemoryEvents) -> None:
        self._length = len(tables.outbox)
        self._tables = tables
        self._events = events
        self.added: list[int] = []

    def read(self, *, after_position: int, limit: int) -> OutboxBatch:
        head_position = self._events.head().position
        positions = [
            position
            for position in self._tables.outbox[: self._length] + self.added
            if position > after_position
        ][:limit]
        check_contiguous(
            positions,
            after_position=after_position,
            head_position=head_position,
            limit=limit,
        )
        return OutboxBatch(
            self._events.read_log(after_position=after_position, limit=limit),
            head_position,
        )

    def add(self, positions: Sequence[int]) -> None:
        self.added.extend(positions)


class MemoryWriteUnit:
    """One transaction, or one moment."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables
        self.events = MemoryEvents(tables)
        self.journal = MemoryJournal(tables)
        self.outbox = MemoryOutbox(tables, self.events)

    def commit(self) -> None:
        tables = self._tables
        with tables.committing:
            for envelope in self.events.appended:
                tables.streams.setdefault(envelope.stream, []).append(envelope)
            tables.log.extend(self.events.appended)
            tables.outbox.extend(self.outbox.added)
            tables.commits += 1
            for command_id, record in self.journal.added.items():
                tables.journal[command_id] = (tables.commits, record)


class MemoryWriteStore:
    """A store that lives as long as its process. It is its own reader."""

    def __init__(self, *, store_id: str) -> None:
        self.store_id = store_id
        self._tables = _Tables(store_id)
        self._writing = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[MemoryWriteUnit]:
        with self._writing:
            yield MemoryWriteUnit(self._tables)

    @contextmanager
    def snapshot(self) -> Iterator[MemoryWriteUnit]:
        with self._tables.committing:
            unit = MemoryWriteUnit(self._tables)
        yield unit

    def close(self) -> None:
        """There is nothing to give up."""
