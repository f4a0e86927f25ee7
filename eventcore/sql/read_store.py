"""The read store over SQL, for its owner: units of work, and how it is made."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, select, update

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved, LeaseLost
from eventcore.generations import Failure, Lease, Progress, Role
from eventcore.sql.model_tables import SqlReadModelTables, SqlRowReader
from eventcore.sql.read_layout import check_layout, make_layout
from eventcore.sql.read_schema import (
    checkpoint_values,
    failure_values,
    generations,
    progress_values,
    projections,
)
from eventcore.sql.register import SqlRegister, SqlRegisterReader
from eventcore.sql.sqlite import committing, translated


class SqlGenerationUnit:
    """One generation within the transaction of a connection."""

    def __init__(self, connection: Connection, projection: str, number: int) -> None:
        self._connection = connection
        self._projection = projection
        self._number = number
        self.tables = SqlReadModelTables(connection, number)

    def advance(self, checkpoint: Checkpoint, *, expected_position: int) -> None:
        moved = self._connection.execute(
            update(generations)
            .where(
                generations.c.projection == self._projection,
                generations.c.number == self._number,
                generations.c.position == expected_position,
                generations.c.role != Role.DROPPING.value,
            )
            .values(checkpoint_values(checkpoint))
        )
        if moved.rowcount != 1:
            raise CheckpointMoved(
                self._projection, self._number, expected=expected_position
            )

    def report(self, progress: Progress) -> None:
        self._change(**progress_values(progress))

    def fail(self, failure: Failure) -> None:
        self._change(**failure_values(failure))

    def _change(self, **values: str | None) -> None:
        self._connection.execute(
            update(generations)
            .where(
                generations.c.projection == self._projection,
                generations.c.number == self._number,
            )
            .values(values)
        )


class SqlReadUnit:
    """One transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.register = SqlRegister(connection)

    def held(self, lease: Lease) -> None:
        # SQLite has one writer at a time; elsewhere the lock on the row keeps the lease until the
        # end of the transaction.
        holder = select(projections.c.owner, projections.c.epoch).where(
            projections.c.name == lease.projection
        )
        row = self._connection.execute(holder.with_for_update()).one_or_none()
        if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
            raise LeaseLost(lease.projection, epoch=lease.epoch)

    def generation(self, lease: Lease, number: int) -> SqlGenerationUnit:
        self.held(lease)
        return SqlGenerationUnit(self._connection, lease.projection, number)

    def commit(self) -> None:
        with translated():
            self._connection.commit()


class SqlReadStore:
    """The owner's side of a read store. It makes the house's own tables in a new one."""

    def __init__(self, engine: Engine) -> None:
        """Opens the store.

        Args:
            engine: Of the owner.

        Raises:
            StartFailed: it was made by a newer release.
            StoreUnavailable: the database does not answer.
        """
        self._engine = engine
        with translated(), engine.begin() as connection:
            self.replaced_layout = make_layout(connection)
            """That of an older release, whose read models are given up; None if there was none."""
        self._connection = engine.connect()

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[SqlReadUnit]:
        with translated(), committing(self._connection, durable=durable):
            self._connection.begin()
            try:
                yield SqlReadUnit(self._connection)
            finally:
                # After a commit there is nothing to roll back. After some errors SQLite has rolled
                # back by itself; this puts SQLAlchemy in the same state.
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


class SqlReadStoreSnapshot:
    """One moment of the store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.register = SqlRegisterReader(connection)

    def generation(self, number: int) -> SqlRowReader:
        return SqlRowReader(self._connection, number)


class SqlReadStoreReader:
    """Snapshots of a store that another process or thread owns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def snapshot(self) -> Iterator[SqlReadStoreSnapshot]:
        """One moment of the store.

        Raises:
            StartFailed: it was made by a newer release.
            StoreUnavailable: the database does not answer, or its owner has not made its tables, or
                not replaced those of an earlier release. It does so when it starts: retry.
        """
        with translated(), self._engine.connect() as connection:
            # It also takes the moment: until the first query a transaction has none.
            check_layout(connection)
            yield SqlReadStoreSnapshot(connection)

    def close(self) -> None:
        self._engine.dispose()
