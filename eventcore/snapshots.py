"""The port of snapshots: aggregates as of a version, so that long streams load fast.

A snapshot is a cache, never a source: what it says is the fold of the events up to its version. It
may be missing, and it may be ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An aggregate as of a version of its stream."""

    stream: StreamId
    stream_version: int
    position: int
    """Of the event that made that version."""
    schema_version: int
    """Of the payload. A reader of another version ignores the snapshot, and replaces it in time."""
    payload: bytes


class SnapshotReader(Protocol):
    """Reads snapshots, as of one moment of the store. Blocking."""

    def load(self, streams: Sequence[StreamId]) -> dict[StreamId, Snapshot]:
        """The snapshot of each stream that has one."""


class Snapshots(SnapshotReader, Protocol):
    """Writes snapshots, inside a unit of work."""

    def save(self, snapshots: Sequence[Snapshot]) -> None:
        """Stores snapshots, of different streams, each in place of the one that its stream had."""
