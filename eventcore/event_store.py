"""The port of the log: streams of events, appended to and read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import EventEnvelope, Instant, LogHead, NewEvent, StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAppend:
    """Events for one stream, and the version that the stream must have before them."""

    stream: StreamId
    expected_version: int
    events: Sequence[NewEvent]


class EventReader(Protocol):
    """Reads the log, as of one snapshot. Blocking."""

    def head(self) -> LogHead:
        """The end of the log."""

    def load(
        self, streams: Sequence[StreamId], *, up_to_version: int | None = None
    ) -> dict[StreamId, list[EventEnvelope]]:
        """The events of each stream, oldest first; an empty list for one that has none.

        Args:
            streams: Which; a stream named twice is read once.
            up_to_version: The newest version to read of each; None is all.
        """

    def load_tail(
        self, stream: StreamId, *, after_version: int, up_to_version: int | None = None
    ) -> list[EventEnvelope]:
        """The events of a stream behind a version of it, oldest first.

        Args:
            stream: Which.
            after_version: The version that is known already.
            up_to_version: The newest version to read; None is all.
        """

    def versions(self, streams: Sequence[StreamId]) -> dict[StreamId, int]:
        """The version of each stream; `NO_STREAM` for one that has no events."""

    def read_log(self, *, after_position: int, limit: int) -> list[EventEnvelope]:
        """Up to `limit` events with a position above `after_position`, in order of position.

        Raises:
            CorruptLog: a position is missing. Positions have no holes, so that a reader which has
                seen p has seen everything before it.
        """


class EventStore(EventReader, Protocol):
    """Appends to the log, inside a unit of work."""

    def append(
        self, appends: Sequence[StreamAppend], *, now: Instant
    ) -> list[EventEnvelope]:
        """Appends the events in the order given, all or none, and moves the head of the log.

        Each gets the next position and the next version of its stream, and a record time of `now`,
        or of the newest event before it where the clock has gone back. A stream may be named more
        than once; each append then expects the version that the one before it leaves.

        Returns:
            The envelopes, in order.

        Raises:
            StreamConflict: a stream has another version than its append expects. After it, the
                unit of work can only be left without a commit.
        """
