"""Read models grow for ever: rows are found by their keys, however many and of whatever columns."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, event

from contexts.orders.read.registry import ORDER_PROJECTIONS
from eventcore.generations import Role
from eventcore.model_tables import ReadModelTables
from eventcore.projection import Projection
from eventcore.sql.model_tables import KEYS_PER_QUERY
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine
from tests.conformance.read_models import THINGS, taken

TABLES = {
    table.name: (projection, table)
    for projection in (*ORDER_PROJECTIONS, THINGS)
    for table in projection.tables
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlReadStore]:
    with closing(
        SqlReadStore(owner_engine(tmp_path / "read.db", durable=False))
    ) as store:
        yield store


def plans_of(
    store: SqlReadStore,
    projection: Projection,
    question: Callable[[ReadModelTables], object],
) -> list[str]:
    """The steps of the plans of all statements, but for those that touch constants alone."""
    asked: list[tuple[str, object]] = []

    def remember(
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: object,
        _context: object,
        executemany: bool,  # noqa: FBT001
    ) -> None:
        first = parameters[0] if executemany else parameters  # type: ignore[index]
        asked.append((statement, first))

    lease = taken(store, projection)
    with store.begin() as unit:
        made = unit.register.add_generation(
            projection, role=Role.BUILDING, now=1, reason="asked"
        )
        tables = unit.generation(lease, made.number).tables
        event.listen(store._engine, "before_cursor_execute", remember)
        question(tables)
        event.remove(store._engine, "before_cursor_execute", remember)
        steps = [
            row.detail
            for statement, parameters in asked
            for row in store._connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}",
                parameters,  # type: ignore[arg-type]
            )
        ]
    return [step for step in steps if step.startswith(("SCAN", "SEARCH"))]


def keys_of(table: Table, count: int) -> list[tuple[int, ...]]:
    width = len(table.primary_key.columns)
    return [(number,) * width for number in range(count)]


def is_found_by_key(table: Table, step: str) -> bool:
    own = f"SEARCH {table.name}_g1 USING "
    key = " AND ".join(f"{column.name}=?" for column in table.primary_key.columns)
    return step.startswith(own) and step.endswith((f"({key})", "(rowid=?)"))


@pytest.mark.parametrize("length", KEYS_PER_QUERY)
@pytest.mark.parametrize("name", TABLES)
def test_rows_are_found_by_the_whole_key(
    store: SqlReadStore, name: str, length: int
) -> None:
    projection, table = TABLES[name]
    plan = plans_of(
        store,
        projection,
        lambda tables: tables.fetch(table, keys_of(table, length)),
    )
    of_table = [step for step in plan if f"{name}_g1" in step]
    assert len(of_table) == 1, plan
    assert is_found_by_key(table, of_table[0]), plan
    constants = [step for step in plan if step not in of_table]
    assert all("CONSTANT ROW" in step or "named_keys" in step for step in constants)


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_removed_by_the_whole_key(store: SqlReadStore, name: str) -> None:
    projection, table = TABLES[name]
    plan = plans_of(
        store, projection, lambda tables: tables.delete(table, keys_of(table, 9))
    )
    (step,) = plan
    assert is_found_by_key(table, step), plan
