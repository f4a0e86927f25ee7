"""The journal grows for ever: what it is asked comes from an index, never from a search."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, event

from eventcore.command_journal import CommandJournal, FailedPlace
from eventcore.sql.write_store import SqlWriteStore
from tests.support.envelopes import a_failed, a_record, an_accepted

QUESTIONS: dict[str, Callable[[CommandJournal], object]] = {
    "find": lambda journal: journal.find(["a", "b"]),
    "stored": lambda journal: journal.stored(["a", "b"]),
    "queued": lambda journal: journal.queued(after_sequence=7, limit=10),
    "failed": lambda journal: journal.failed(after=None, limit=10),
    "failed behind a place": lambda journal: journal.failed(
        after=FailedPlace(fail_time=5, accept_sequence=7), limit=10
    ),
    "failed_count": lambda journal: journal.failed_count(),
    "begin_attempts": lambda journal: journal.begin_attempts(["a", "b"]),
    "complete": lambda journal: journal.update([a_record("a")]),
    "give up": lambda journal: journal.update([a_failed("a").record]),
    "requeue": lambda journal: journal.requeue(["b"]),
}
ITS_INDEX = {
    "queued": "commands_accepted",
    "failed": "commands_failed",
    "failed behind a place": "commands_failed",
    "failed_count": "commands_failed",
}


def plans_of(
    store: SqlWriteStore, question: Callable[[CommandJournal], object]
) -> list[str]:
    """The steps of the plans of all statements that touch rows, but for the next sequence."""
    asked: list[tuple[str, object]] = []

    def remember(
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: object,
        _context: object,
        executemany: bool,  # noqa: FBT001
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE")) and "max(" not in statement:
            first = parameters[0] if executemany else parameters  # type: ignore[index]
            asked.append((statement, first))

    with store.begin() as unit:
        unit.journal.accept([an_accepted("a"), a_failed("b")])
        event.listen(store._engine, "before_cursor_execute", remember)
        question(unit.journal)
        event.remove(store._engine, "before_cursor_execute", remember)
        return [
            row.detail
            for statement, parameters in asked
            for row in store._connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}",
                parameters,  # type: ignore[arg-type]
            )
        ]


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_asked_of_the_journal_comes_from_an_index(
    store: SqlWriteStore, name: str
) -> None:
    plan = plans_of(store, QUESTIONS[name])
    index = f" INDEX {ITS_INDEX.get(name, 'commands_by_id')}"
    assert plan
    assert all(index in step for step in plan), plan


def test_the_next_sequence_is_read_from_the_end(store: SqlWriteStore) -> None:
    (step,) = store._connection.exec_driver_sql(
        "EXPLAIN QUERY PLAN SELECT max(accept_sequence) FROM commands"
    )
    store._connection.rollback()
    assert step.detail == "SEARCH commands"
