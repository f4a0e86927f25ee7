"""Read models in memory: a projection at work on them, and what it asks of its tables."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Table

from eventcore.generations import Role
from eventcore.memory.read_store import MemoryReadStore
from eventcore.messages import EventEnvelope
from eventcore.model_tables import Key, ReadModelTables, Row
from eventcore.projection import Projection

Rows: TypeAlias = dict[Key, Row]


class CountedTables:
    """Counts what is asked of tables, each call once, however many rows it is about."""

    def __init__(self, tables: ReadModelTables, calls: "Counter[str]") -> None:
        self._tables = tables
        self._calls = calls

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        self._calls[f"fetch {table.name}"] += 1
        return self._tables.fetch(table, keys)

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        self._calls[f"write {table.name}"] += 1
        self._tables.write(table, rows)

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        self._calls[f"delete {table.name}"] += 1
        self._tables.delete(table, keys)


class Model:
    """A read model that holds nothing yet."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self._store = MemoryReadStore()
        self.calls: Counter[str] = Counter()
        """What the projection asked of its tables, and how often."""
        with self._store.begin() as unit:
            lease = unit.register.acquire(
                projection.name, owner="test", now=0, expire_time=1
            )
            assert lease is not None, "nobody else is here"
            made = unit.register.add_generation(
                projection, role=Role.SERVING, now=0, reason="for a test"
            )
            unit.commit()
        self._lease, self._generation = lease, made.number

    def apply(self, *batches: Sequence[EventEnvelope]) -> "Model":
        """Applies batches, each in a unit of its own."""
        for batch in batches:
            with self._store.begin() as unit:
                tables = unit.generation(self._lease, self._generation).tables
                self.projection.apply(batch, CountedTables(tables, self.calls))
                unit.commit()
        return self

    def rows(self, table: Table) -> Rows:
        """The rows of a table by their key, each a value by column."""
        names = [column.name for column in table.columns]
        keys = [column.name for column in table.primary_key.columns]
        found: Rows = {}
        with self._store.snapshot() as snapshot:
            for some in snapshot.generation(self._generation).scan(table):
                for values in some:
                    row: dict[str, Any] = dict(zip(names, values, strict=True))
                    found[tuple(row[name] for name in keys)] = row
        return found

    def everything(self) -> dict[str, Rows]:
        """The rows of all tables."""
        return {table.name: self.rows(table) for table in self.projection.tables}
