"""The write store over SQL: its unit of work, its snapshots, and how it is made."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, inspect, select, update
from sqlalchemy.exc import OperationalError

from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.sql.command_journal import SqlCommandJournal, SqlJournalReader
from eventcore.sql.event_store import SqlEventReader, SqlEventStore
from eventcore.sql.execution_control import SqlControlReader, SqlExecutionControl
from eventcore.sql.migrations import migrate
from eventcore.sql.outbox import SqlOutbox, SqlOutboxReader
from eventcore.sql.snapshots import SqlSnapshotReader, SqlSnapshots
from eventcore.sql.sqlite import translated
from eventcore.sql.write_schema import SCHEMA_VERSION, log_head, metadata


class SqlWriteSnapshot:
    """One moment of the store."""

    def __init__(self, connection: Connection) -> None:
        self.events = SqlEventReader(connection)
        self.journal = SqlJournalReader(connection)
        self.outbox = SqlOutboxReader(connection)
        self.snapshots = SqlSnapshotReader(connection)
        self.control = SqlControlReader(connection)


class SqlWriteUnit:
    """One transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.events = SqlEventStore(connection)
        self.journal = SqlCommandJournal(connection)
        self.outbox = SqlOutbox(connection)
        self.snapshots = SqlSnapshots(connection)
        self.control = SqlExecutionControl(connection)

    def commit(self) -> None:
        with translated():
            self._connection.commit()


class SqlWriteStore:
    """The owner's side of a write store. It makes the tables of a new one, and migrates those that
    an earlier release made.
    """

    def __init__(self, engine: Engine, *, new_store_id: str) -> None:
        """Opens the store. Making or migrating its tables is one transaction.

        Args:
            engine: Of the owner.
            new_store_id: The id of the store if it has to be made, a UUID.

        Raises:
            StartFailed: its tables are of a newer release.
            StoreUnavailable: the database does not answer.
        """
        self._engine = engine
        with translated(), engine.begin() as connection:
            if not inspect(connection).has_table(log_head.name):
                _make(connection, store_id=new_store_id)
            _migrate(connection)
            self.store_id = SqlEventReader(connection).head().store_id
        self._connection = engine.connect()

    @contextmanager
    def begin(self) -> Iterator[SqlWriteUnit]:
        with translated():
            self._connection.begin()
            try:
                yield SqlWriteUnit(self._connection)
            finally:
                # After a commit there is nothing to roll back. After some errors SQLite has rolled
                # back by itself; this puts SQLAlchemy in the same state.
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


class SqlWriteStoreReader:
    """Snapshots of a store that another process or thread owns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._checked = False

    @contextmanager
    def snapshot(self) -> Iterator[SqlWriteSnapshot]:
        """One moment of the store.

        Raises:
            StartFailed: its tables are of a newer release.
            StoreUnavailable: the database does not answer, or its owner has not made the tables, or
                not migrated those of an earlier release. It does so when it starts: retry.
        """
        with translated(), self._engine.connect() as connection:
            if not self._checked:
                _check_ready(connection)
                self._checked = True
            yield SqlWriteSnapshot(connection)

    def close(self) -> None:
        self._engine.dispose()


def _make(connection: Connection, *, store_id: str) -> None:
    metadata.create_all(connection)
    connection.execute(
        insert(log_head).values(
            id=1,
            store_id=store_id,
            schema_version=SCHEMA_VERSION,
            position=0,
            record_time=0,
        )
    )


def _migrate(connection: Connection) -> None:
    version = _schema_version(connection)
    if version < SCHEMA_VERSION:
        migrate(connection, version=version)
        connection.execute(update(log_head).values(schema_version=SCHEMA_VERSION))


def _check_ready(connection: Connection) -> None:
    """The owner makes the file first and its tables a moment later, or migrates them."""
    try:
        version = _schema_version(connection)
    except OperationalError as error:
        raise StoreUnavailable("the write store is not made yet") from error
    if version < SCHEMA_VERSION:
        raise StoreUnavailable(
            f"the write store has tables of version {version} and is not migrated yet: "
            "start its write server"
        )


def _schema_version(connection: Connection) -> int:
    """The version of the tables.

    Raises:
        StartFailed: this release does not know it.
    """
    version: int = connection.execute(select(log_head.c.schema_version)).scalar_one()
    if version > SCHEMA_VERSION:
        raise StartFailed(
            f"the write store has tables of version {version}, this release reads "
            f"version {SCHEMA_VERSION}: run the release that made it, or a newer one"
        )
    return version
