"""However long the outbox and the log are, what is asked of them is found, never searched for."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, event

from eventcore.outbox import Outbox
from eventcore.sql.write_store import SqlWriteStore
from tests.eventcore.files import append

EVENTS = 10
PRUNED = 4

QUESTIONS: dict[str, Callable[[Outbox], object]] = {
    "what it has": lambda outbox: outbox.read(after_position=PRUNED, limit=3),
    "what was pruned": lambda outbox: outbox.read(after_position=0, limit=3),
    "where it begins": lambda outbox: outbox.lowest_position(),
    "pruning": lambda outbox: outbox.prune(up_to_position=8, limit=3),
}
BY_ITS_KEY = "USING INTEGER PRIMARY KEY"
ENDS = {"SCAN log_head", "SCALAR SUBQUERY 1", "SEARCH outbox"}
"""The one row of the head, and the lowest position, which SQLite reads from the end of the tree: it
names no key when it does so.
"""
PLANS = {
    "what it has": {
        *ENDS,
        f"SEARCH outbox {BY_ITS_KEY} (rowid>?)",
        f"SEARCH events {BY_ITS_KEY} (rowid=?) LEFT-JOIN",
    },
    "what was pruned": {*ENDS, f"SEARCH events {BY_ITS_KEY} (rowid>?)"},
    "where it begins": {"SEARCH outbox"},
    "pruning": {
        f"SEARCH outbox {BY_ITS_KEY} (rowid=?)",
        "LIST SUBQUERY 1",
        f"SEARCH outbox {BY_ITS_KEY} (rowid<?)",
    },
}


def plan_of(store: SqlWriteStore, question: Callable[[Outbox], object]) -> set[str]:
    """The steps of the plans of all its statements."""
    asked: list[tuple[str, object]] = []

    def remember(
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: object,
        _context: object,
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        asked.append((statement, parameters))

    with store.begin() as unit:
        event.listen(store._engine, "before_cursor_execute", remember)
        question(unit.outbox)
        event.remove(store._engine, "before_cursor_execute", remember)
        return {
            row.detail
            for statement, parameters in asked
            for row in store._connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}",
                parameters,  # type: ignore[arg-type]
            )
        }


@pytest.fixture
def pruned(store: SqlWriteStore) -> SqlWriteStore:
    append(store, count=EVENTS)
    with store.begin() as unit:
        unit.outbox.prune(up_to_position=PRUNED, limit=EVENTS)
        unit.commit()
    return store


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_asked_of_the_outbox_comes_by_its_key(
    pruned: SqlWriteStore, name: str
) -> None:
    assert plan_of(pruned, QUESTIONS[name]) == PLANS[name]


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_statistics_lead_a_database_to_begin_with_the_log(
    pruned: SqlWriteStore, name: str
) -> None:
    connection = pruned._connection
    connection.exec_driver_sql("ANALYZE")
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    # As they would be of a short log with a long outbox.
    connection.exec_driver_sql(
        "INSERT INTO sqlite_stat1 VALUES ('events', NULL, '5'), ('outbox', NULL, '9000000')"
    )
    connection.exec_driver_sql("ANALYZE sqlite_schema")
    connection.commit()
    assert plan_of(pruned, QUESTIONS[name]) == PLANS[name]
