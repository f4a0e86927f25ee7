"""A write store in a file: how tests open, fill and read it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from eventcore.sql.sqlite import owner_engine
from eventcore.sql.write_store import SqlWriteStore
from tests.support.envelopes import a_record, a_stream, an_append

STORE_ID = "01900000-0000-7000-8000-00000000abcd"
STREAM = a_stream()


def open_store(path: Path) -> SqlWriteStore:
    return SqlWriteStore(owner_engine(path, durable=False), new_store_id=STORE_ID)


def append(store: SqlWriteStore, count: int = 1, version: int = 0) -> None:
    """Events, their outbox rows and a command, in one transaction."""
    with store.begin() as unit:
        appended = unit.events.append(
            [an_append(STREAM, expected_version=version, count=count)], now=1
        )
        unit.outbox.add([envelope.position for envelope in appended])
        unit.journal.add([a_record(f"command-{version}", STREAM)])
        unit.commit()


def rows(path: Path) -> dict[str, int]:
    """How many rows each table has, and the head of the log."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "outbox", "commands")
        }
        head = connection.execute("SELECT position FROM log_head").fetchone()[0]
    return counts | {"head": head}
