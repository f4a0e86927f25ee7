"""The ports of the read store: read models and their checkpoints.

`ReadStore` is the projector's. It is blocking; one thread of one process owns the one write
connection. `ReadSnapshots` is for queries. It is asynchronous, and can only read.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Row as QueryRow
from sqlalchemy import Select, Table

from eventcore.checkpoints import Checkpoint, Checkpoints

Row: TypeAlias = dict[str, Any]
"""A row of a read model: the value of each column by its name."""

Key: TypeAlias = tuple[Any, ...]
"""The values of a row's primary key, in the order of its columns."""


class ReadModelTables(Protocol):
    """The rows of read models, handled set-wise by primary key. A `Table` is the declaration."""

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        """The rows of those keys that there are."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Inserts the rows, replacing those with the same primary key. Each is complete."""

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        """Removes the rows of those keys that there are."""


class ProjectionUnit(Protocol):
    """One transaction over the tables of a read model and its checkpoint."""

    @property
    def tables(self) -> ReadModelTables: ...
    @property
    def checkpoints(self) -> Checkpoints: ...

    def commit(self) -> None:
        """Makes all of it visible at once, or none of it.

        Raises:
            StoreUnavailable: there was no room, or the store was busy; nothing was stored.
            StoreBroken: whether it was stored is not known. The process must stop.
        """


class ReadStore(Protocol):
    """Opens units of work on the read store. There is one owner of a store at a time."""

    def begin(self) -> AbstractContextManager[ProjectionUnit]:
        """A unit of work that excludes every other.

        Leaving it without `commit`, by an exception or not, leaves nothing behind.

        Raises:
            StoreUnavailable: the store does not answer.
        """

    def close(self) -> None:
        """Gives up the store, so that another process can own it. Idempotent."""


class ReadSnapshot(Protocol):
    """The read store as of one moment, for queries."""

    async def checkpoint(self, projection: str) -> Checkpoint:
        """The checkpoint of a projection.

        Raises:
            StoreUnavailable: there is none yet.
        """

    async def fetch(self, query: Select[Any]) -> Sequence[QueryRow[Any]]:
        """The rows that a query selects."""


class ReadSnapshots(Protocol):
    """Opens moments of the read store, a bounded number at a time, for an event loop."""

    def open(self) -> AbstractAsyncContextManager[ReadSnapshot]:
        """A moment of the store. Keep it short: there are few, and it pins the write-ahead log.

        Raises:
            StoreUnavailable: the store does not answer, is not made yet, or none came free in
                time.
        """
