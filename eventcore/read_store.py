"""The ports of the read store: read models in their generations, and their checkpoints.

`ReadStore` is the projector's, `ReadStoreReader` is for whoever compares whole tables; both are
blocking and belong on a thread of their own. `ReadSnapshots` is for queries. It is asynchronous,
and can only read.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Row as QueryRow
from sqlalchemy import Select, Table

from eventcore.checkpoints import Checkpoint
from eventcore.generations import Failure, Lease, Progress
from eventcore.model_tables import ReadModelTables, RowReader, Values
from eventcore.projection import Projection
from eventcore.projection_register import ProjectionRegister, RegisterReader


class GenerationUnit(Protocol):
    """One generation of a read model, in the hands of its owner."""

    @property
    def tables(self) -> ReadModelTables: ...

    def advance(self, checkpoint: Checkpoint, *, expected_position: int) -> None:
        """Replaces the checkpoint, if it still is where the caller has left it. Its position may be
        the old one: the head and the time at which the read model was complete move also while
        nothing happens.

        Raises:
            CheckpointMoved: it is elsewhere, or the generation was given up. After it, the unit of
                work can only be left without a commit.
        """

    def report(self, progress: Progress) -> None:
        """Notes how the generation gets on."""

    def fail(self, failure: Failure) -> None:
        """Notes that the generation has stopped, until an operator has it go on."""


class ReadUnit(Protocol):
    """One transaction over read models, their checkpoints and the register."""

    @property
    def register(self) -> ProjectionRegister: ...

    def held(self, lease: Lease) -> None:
        """Sees to it that what the unit does is only done under a lease: whoever takes it over
        waits for this unit to end.

        Raises:
            LeaseLost: another one has the projection. After it, the unit of work can only be left
                without a commit.
        """

    def generation(self, lease: Lease, number: int) -> GenerationUnit:
        """A generation of the projection that a lease is of.

        Raises:
            LeaseLost: see `held`.
        """

    def commit(self) -> None:
        """Makes all of it visible at once, or none of it.

        Raises:
            StoreUnavailable: there was no room, or the store was busy; nothing was stored.
            StoreBroken: whether it was stored is not known. The process must stop.
        """


class ReadStore(Protocol):
    """Opens units of work on the read store."""

    def begin(self, *, durable: bool = False) -> AbstractContextManager[ReadUnit]:
        """A unit of work that excludes every other.

        Leaving it without `commit`, by an exception or not, leaves nothing behind.

        Args:
            durable: Whether a commit returns only when it is on disk. A batch of events that a
                power loss takes back is applied again, its checkpoint goes with it; what an
                operator was told must not be taken back.

        Raises:
            StoreUnavailable: the store does not answer.
        """

    def close(self) -> None:
        """Gives up the store, so that another process can own it. Idempotent."""


class ModelReader(RowReader, Protocol):
    """One generation of a read model, as of one moment."""

    def scan(self, table: Table) -> Iterator[Sequence[Values]]:
        """All rows of a table, in no particular order, some at a time."""


class ReadStoreSnapshot(Protocol):
    """The read store as of one moment, for reading whole tables."""

    @property
    def register(self) -> RegisterReader: ...

    def generation(self, number: int) -> ModelReader:
        """The tables of a generation."""


class ReadStoreReader(Protocol):
    """Opens snapshots. It can neither write nor hold up who writes."""

    def snapshot(self) -> AbstractContextManager[ReadStoreSnapshot]:
        """One moment of the store. An open snapshot pins the write-ahead log.

        Raises:
            StoreUnavailable: the store does not answer, or is not made yet.
        """

    def close(self) -> None:
        """Gives up the connection. Idempotent."""


class ServedModel(Protocol):
    """The generation of a read model that answers queries, as of one moment."""

    @property
    def generation(self) -> int: ...
    @property
    def checkpoint(self) -> Checkpoint: ...

    def table(self, table: Table) -> Table:
        """The generation's own table, for queries, of one that the projection declares."""


class ReadSnapshot(Protocol):
    """The read store as of one moment, for queries."""

    async def served(self, projection: Projection) -> ServedModel:
        """What answers the queries of a projection, in the version of this code.

        Raises:
            StoreUnavailable: the store has never heard of it.
            ProjectionRebuilding: it is being made, and there is nothing to answer from yet.
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
