"""The write store in memory."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eventcore.errors import StreamConflict
from eventcore.event_store import StreamAppend
from eventcore.log import check_contiguous, is_pruned, place
from eventcore.memory.journal import MemoryJournal
from eventcore.memory.tables import Tables
from eventcore.messages import EventEnvelope, Instant, LogHead, StreamId
from eventcore.operators import Pause
from eventcore.outbox import OutboxBatch
from eventcore.snapshots import Snapshot


class MemoryEvents:
    """The log as of a moment, and what a unit of work has appended to it."""

    def __init__(self, tables: Tables) -> None:
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
        return {stream: self._stream(stream)[:up_to_version] for stream in streams}

    def load_tail(
        self, stream: StreamId, *, after_version: int, up_to_version: int | None = None
    ) -> list[EventEnvelope]:
        return self._stream(stream)[after_version:up_to_version]

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


class MemoryOutbox:
    """The outbox as of a moment, and what a unit of work has put into it and taken out of it."""

    def __init__(self, tables: Tables, events: MemoryEvents) -> None:
        self._begin = tables.outbox_pruned
        self._length = len(tables.outbox)
        self._tables = tables
        self._events = events
        self.added: list[int] = []
        self.pruned = 0

    def read(self, *, after_position: int, limit: int) -> OutboxBatch:
        head_position = self._events.head().position
        if not is_pruned(self.lowest_position(), after_position=after_position):
            held = self._held()
            begin = bisect_right(held, after_position)
            check_contiguous(
                held[begin : begin + limit],
                after_position=after_position,
                head_position=head_position,
                limit=limit,
                place="outbox",
            )
        return OutboxBatch(
            self._events.read_log(after_position=after_position, limit=limit),
            head_position,
        )

    def lowest_position(self) -> int | None:
        return next(iter(self._held()), None)

    def add(self, positions: Sequence[int]) -> None:
        self.added.extend(positions)

    def prune(self, *, up_to_position: int, limit: int) -> int:
        count = min(limit, bisect_right(self._held(), up_to_position))
        self.pruned += count
        return count

    def _held(self) -> list[int]:
        committed = self._tables.outbox[self._begin : self._length]
        return (committed + self.added)[self.pruned :]


class MemorySnapshots:
    """The snapshots as of a moment, and what a unit of work has saved."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._commits = tables.commits
        self.saved: dict[StreamId, Snapshot] = {}

    def load(self, streams: Sequence[StreamId]) -> dict[StreamId, Snapshot]:
        loaded: dict[StreamId, Snapshot] = {}
        for stream in streams:
            saved = self.saved.get(stream)
            snapshot = saved or self._tables.snapshots.get(
                stream, commits=self._commits
            )
            if snapshot is not None:
                loaded[stream] = snapshot
        return loaded

    def save(self, snapshots: Sequence[Snapshot]) -> None:
        self.saved.update((snapshot.stream, snapshot) for snapshot in snapshots)


class MemoryExecutionControl:
    """The switch as of a moment, and how a unit of work has turned it."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables.pause
        self.turned: list[Pause | None] = []

    def pause(self) -> Pause | None:
        return self.turned[-1] if self.turned else self._committed

    def set_pause(self, pause: Pause | None) -> None:
        self.turned.append(pause)


class MemoryWriteUnit:
    """One transaction, or one moment."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.events = MemoryEvents(tables)
        self.journal = MemoryJournal(tables)
        self.outbox = MemoryOutbox(tables, self.events)
        self.snapshots = MemorySnapshots(tables)
        self.control = MemoryExecutionControl(tables)

    def commit(self) -> None:
        tables = self._tables
        with tables.committing:
            for envelope in self.events.appended:
                tables.streams.setdefault(envelope.stream, []).append(envelope)
            tables.log.extend(self.events.appended)
            tables.outbox.extend(self.outbox.added)
            tables.outbox_pruned += self.outbox.pruned
            tables.commits += 1
            self.journal.commit()
            for stream, snapshot in self.snapshots.saved.items():
                tables.snapshots.put(stream, snapshot, commit=tables.commits)
            tables.pause = self.control.pause()


class MemoryWriteStore:
    """A store that lives as long as its process. It is its own reader."""

    def __init__(self, *, store_id: str) -> None:
        self.store_id = store_id
        self._tables = Tables(store_id)
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
