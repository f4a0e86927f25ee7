"""The rows of read models over SQL.

Projections read and write thousands of rows at a time. So the statements are compiled once for each
table, to text, and rows go to the driver as tuples: building each statement and each row through
the library takes several times as long as the database does. Nor does the library build those that
name many keys: it would take 30 ms for each table of each generation.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import (
    Connection,
    Dialect,
    Table,
    and_,
    bindparam,
    column,
    delete,
    select,
    values,
)
from sqlalchemy.sql.base import Executable

from eventcore.model_tables import Key, Row, Values
from eventcore.sql.generation_tables import TABLES_KNOWN_MAX, table_of
from eventcore.sql.upsert import upsert

KEYS_PER_QUERY = (1, 8, 64, 500)
"""How many keys a query names: the last one is well below the number of parameters that a
database takes, and with so few lengths the driver keeps every query prepared."""

ROWS_PER_SCAN = 1000
"""Rows that a scan holds at a time."""


class _Fetch:
    """The query for the rows of some keys, as text for the driver."""

    def __init__(self, one: str, two: str) -> None:
        """Learns from the queries for one key and for two how they go on."""
        places = enumerate(zip(one, two, strict=False))
        self._begin = one[: next(place for place, (a, b) in places if a != b)]
        self._end = one.removeprefix(self._begin)
        self._next = two.removeprefix(self._begin).removesuffix(self._end)
        self._texts: dict[int, str] = {}

    def text(self, length: int) -> str:
        """The query that names so many keys. It is built when it is first needed: most tables are
        only ever asked for a few lengths.
        """
        if length not in self._texts:
            more = self._next * (length - 1)
            self._texts[length] = f"{self._begin}{more}{self._end}"
        return self._texts[length]


@dataclass(frozen=True, slots=True)
class _Statements:
    """The statements about one table, as text for the driver, and its columns in their order."""

    columns: tuple[str, ...]
    key: tuple[int, ...]
    """Where among the columns the primary key stands."""
    fetch: _Fetch
    write: str
    write_columns: tuple[str, ...]
    delete: str
    scan: str


class SqlRowReader:
    """Rows of one generation within the transaction of a connection."""

    def __init__(self, connection: Connection, generation: int) -> None:
        self._connection = connection
        self._generation = generation

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        found: dict[Key, Row] = {}
        statements = self._statements(table)
        columns, place = statements.columns, statements.key
        for chunk in _chunks(keys):
            length = next(size for size in KEYS_PER_QUERY if size >= len(chunk))
            # No row has a key of nulls: with them the statement is one that is known.
            chunk.extend([(None,) * len(place)] * (length - len(chunk)))
            parts = tuple(part for key in chunk for part in key)
            rows = self._connection.exec_driver_sql(
                statements.fetch.text(length), parts
            )
            for row in rows:
                key = tuple(row[index] for index in place)
                found[key] = dict(zip(columns, row, strict=True))
        return found

    def scan(self, table: Table) -> Iterator[Sequence[Values]]:
        result = self._connection.exec_driver_sql(
            self._statements(table).scan,
            execution_options={"yield_per": ROWS_PER_SCAN},
        )
        with result:
            # Told again: of a statement that is text the option bounds only what is buffered.
            for rows in result.partitions(ROWS_PER_SCAN):
                yield [tuple(row) for row in rows]

    def _statements(self, table: Table) -> _Statements:
        own = table_of(table, self._generation)
        return _statements(own, self._connection.dialect)


class SqlReadModelTables(SqlRowReader):
    """Changes rows of one generation within the transaction of a connection."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            statements = self._statements(table)
            names = statements.write_columns
            self._connection.exec_driver_sql(
                statements.write, [tuple(row[name] for name in names) for row in rows]
            )

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        rows = [tuple(key) for key in keys]
        if rows:
            self._connection.exec_driver_sql(self._statements(table).delete, rows)


@lru_cache(maxsize=TABLES_KNOWN_MAX)
def _statements(table: Table, dialect: Dialect) -> _Statements:
    columns = list(table.columns)
    keys = list(table.primary_key.columns)
    write, write_columns = _compiled(upsert(table, dialect.name), dialect)
    removal, removed_by = _compiled(
        delete(table).where(
            *(column == bindparam(f"key_{column.name}") for column in keys)
        ),
        dialect,
    )
    assert removed_by == tuple(f"key_{column.name}" for column in keys)
    return _Statements(
        columns=tuple(column.name for column in columns),
        key=tuple(columns.index(column) for column in keys),
        fetch=_Fetch(_fetch(table, 1, dialect), _fetch(table, 2, dialect)),
        write=write,
        write_columns=write_columns,
        delete=removal,
        scan=_compiled(select(table), dialect)[0],
    )


def _fetch(table: Table, length: int, dialect: Dialect) -> str:
    """The query for so many keys. They are joined, as a table of their own: of an IN over several
    columns SQLite makes a search through the whole table.
    """
    keys = list(table.primary_key.columns)
    names = [
        tuple(
            bindparam(f"key_{index}_{column.name}", type_=column.type)
            for column in keys
        )
        for index in range(length)
    ]
    parts = (column(key.name, key.type) for key in keys)
    named = values(*parts).data(names).cte("named_keys")
    same = and_(*(key == named.c[key.name] for key in keys))
    text, positions = _compiled(select(table).join(named, same), dialect)
    assert positions == tuple(str(name.key) for parts in names for name in parts)
    return text


def _compiled(statement: Executable, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The text of a statement, and the names of its parameters in their order."""
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    return str(compiled), tuple(compiled.positiontup or ())


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), KEYS_PER_QUERY[-1]):
        yield distinct[start : start + KEYS_PER_QUERY[-1]]
