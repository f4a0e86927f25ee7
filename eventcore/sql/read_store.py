"""The read store over SQL, for its owner: units of work, and how it is made."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    bindparam,
    delete,
    insert,
    inspect,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved, StartFailed, StoreUnavailable
from eventcore.read_store import Key, Row
from eventcore.sql.read_schema import (
    as_checkpoint,
    checkpoints,
    metadata,
    read_meta,
    select_checkpoint,
)
from eventcore.sql.sqlite import translated
from eventcore.sql.upsert import upsert

KEYS_PER_QUERY_MAX = 500
"""Keys that one IN query names, well below the number of parameters that a database takes."""


class SqlReadModelTables:
    """Rows within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        names = [column.name for column in table.primary_key.columns]
        for chunk in _chunks(keys):
            query = select(table).where(_key_in(table, chunk))
            for row in self._connection.execute(query).mappings():
                found[tuple(row[name] for name in names)] = dict(row)
        return found

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.execute(upsert(table, self._connection.dialect.name), rows)

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        columns = list(table.primary_key.columns)
        rows = [
            {
                f"key_{column.name}": part
                for column, part in zip(columns, key, strict=True)
            }
            for key in keys
        ]
        if rows:
            statement = delete(table).where(
                *(column == bindparam(f"key_{column.name}") for column in columns)
            )
            self._connection.execute(statement, rows)


class SqlCheckpoints:
    """Checkpoints within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, projection: str) -> Checkpoint | None:
        row = self._connection.execute(select_checkpoint(projection)).one_or_none()
        return None if row is None else as_checkpoint(row)

    def advance(self, checkpoint: Checkpoint, *, expected_position: int | None) -> None:
        values = asdict(checkpoint)
        if expected_position is None:
            try:
                self._connection.execute(insert(checkpoints).values(values))
            except IntegrityError as error:
                raise CheckpointMoved(checkpoint.projection, expected=None) from error
            return
        moved = self._connection.execute(
            update(checkpoints)
            .where(
                checkpoints.c.projection == checkpoint.projection,
                checkpoints.c.position == expected_position,
            )
            .values(values)
        )
        if moved.rowcount != 1:
            raise CheckpointMoved(checkpoint.projection, expected=expected_position)


class SqlProjectionUnit:
    """One transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tables = SqlReadModelTables(connection)
        self.checkpoints = SqlCheckpoints(connection)

    def commit(self) -> None:
        with translated():
            self._connection.commit()


class SqlReadStore:
    """The owner's side of a read store. It makes the tables that are not there yet, and makes those
    of an older release anew: empty, so that their projections begin again with the log.
    """

    def __init__(
        self, engine: Engine, *, tables: Sequence[Table], schema_version: int
    ) -> None:
        """Opens the store.

        Args:
            engine: Of the owner.
            tables: Of all read models. The table of a new one is made beside the others.
            schema_version: Of these tables; it counts the changes of those that exist.

        Raises:
            StartFailed: its tables are of a newer release.
            StoreUnavailable: the database does not answer.
        """
        self._engine = engine
        self.replaced_version: int | None = None
        """Of the older tables that were emptied when it was opened; None if there were none."""
        with translated(), engine.begin() as connection:
            if not inspect(connection).has_table(read_meta.name):
                metadata.create_all(connection)
                connection.execute(
                    insert(read_meta).values(id=1, schema_version=schema_version)
                )
            version = _checked_version(connection, schema_version=schema_version)
            if version < schema_version:
                _empty(connection, tables, schema_version=schema_version)
                self.replaced_version = version
            for table in tables:
                table.create(connection, checkfirst=True)
        self._connection = engine.connect()

    @contextmanager
    def begin(self) -> Iterator[SqlProjectionUnit]:
        with translated():
            self._connection.begin()
            try:
                yield SqlProjectionUnit(self._connection)
            finally:
                # After a commit there is nothing to roll back. After some errors SQLite has rolled
                # back by itself; this puts SQLAlchemy in the same state.
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def check_schema(connection: Connection, *, schema_version: int) -> None:
    """Checks that the read models are of that schema version.

    Raises:
        StartFailed: they are of a newer one.
        StoreUnavailable: they are of an older one, which the projector makes anew.
    """
    version = _checked_version(connection, schema_version=schema_version)
    if version < schema_version:
        raise StoreUnavailable(
            "the read models are of an older release, and not made anew yet: retry"
        )


def _checked_version(connection: Connection, *, schema_version: int) -> int:
    version: int = connection.execute(select(read_meta.c.schema_version)).scalar_one()
    if version > schema_version:
        raise StartFailed(
            f"the read store has tables of version {version}, this release knows version "
            f"{schema_version}: run the release that made it, or stop the projector and "
            "the read servers, remove read.db, read.db-wal and read.db-shm, and start "
            "them again; the projector makes it anew from the log"
        )
    return version


def _empty(
    connection: Connection, tables: Sequence[Table], *, schema_version: int
) -> None:
    """Leaves nothing of an older release but the house's own tables, and those of read models that
    are no longer there.
    """
    for table in tables:
        table.drop(connection, checkfirst=True)
    connection.execute(delete(checkpoints))
    connection.execute(update(read_meta).values(schema_version=schema_version))


def _key_in(table: Table, keys: Sequence[Key]) -> ColumnElement[bool]:
    columns = list(table.primary_key.columns)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(keys)


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    distinct: list[Any] = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), KEYS_PER_QUERY_MAX):
        yield distinct[start : start + KEYS_PER_QUERY_MAX]
