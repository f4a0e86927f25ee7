"""The port of the write store: its unit of work and its snapshots.

Both are blocking and belong on a thread of their own: one thread owns the one write connection.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from eventcore.command_journal import CommandJournal, JournalReader
from eventcore.event_store import EventReader, EventStore
from eventcore.execution_control import ControlReader, ExecutionControl
from eventcore.outbox import Outbox, OutboxReader
from eventcore.snapshots import SnapshotReader, Snapshots


class WriteSnapshot(Protocol):
    """The store as of one moment, for reading."""

    @property
    def events(self) -> EventReader: ...
    @property
    def journal(self) -> JournalReader: ...
    @property
    def outbox(self) -> OutboxReader: ...
    @property
    def snapshots(self) -> SnapshotReader: ...
    @property
    def control(self) -> ControlReader: ...


class WriteUnit(Protocol):
    """One transaction over all that the store holds: the log with its head, the outbox, the
    journal, the snapshots and the switch of execution.
    """

    @property
    def events(self) -> EventStore: ...
    @property
    def journal(self) -> CommandJournal: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def control(self) -> ExecutionControl: ...

    def commit(self) -> None:
        """Makes all of it durable, or none of it.

        Returns only when it is on disk. Called once, last.

        Raises:
            StoreUnavailable: there was no room, or the store was busy; nothing was stored.
            StoreBroken: whether it was stored is not known. The process must stop answering.
        """


class WriteStoreReader(Protocol):
    """Opens snapshots. It can neither write nor hold up who writes."""

    def snapshot(self) -> AbstractContextManager[WriteSnapshot]:
        """One moment of the store. Keep it short: an open snapshot pins the write-ahead log.

        Raises:
            StoreUnavailable: the store does not answer, or its owner has not made it yet, or has
                not migrated it yet from an earlier release.
        """

    def close(self) -> None:
        """Gives up the connection. Idempotent."""


class WriteStore(Protocol):
    """Opens units of work. There is one owner of a store at a time."""

    def begin(self) -> AbstractContextManager[WriteUnit]:
        """A unit of work that excludes every other.

        Leaving it without `commit`, by an exception or not, leaves nothing behind.

        Raises:
            StoreUnavailable: the store does not answer.
        """

    def close(self) -> None:
        """Gives up the store, so that another process can own it. Idempotent."""
