"""What goes wrong with a file of SQLite, and what the house makes of it."""

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import (
    CorruptLog,
    StartFailed,
    StoreBroken,
    StoreUnavailable,
    StreamConflict,
)
from eventcore.sql.sqlite import reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.eventcore.files import STREAM, append, open_store, rows
from tests.support.envelopes import a_record

FULL_BEFORE = 1000
"""Commands that fit into no file of the few pages that these tests allow."""


def fill(store: SqlWriteStore, version: int) -> int:
    """Appends tens of events until there is no room; returns the version that was reached."""
    while version < FULL_BEFORE:
        try:
            append(store, count=10, version=version)
        except StoreBroken:
            raise
        except StoreUnavailable:
            return version
        version += 10
    raise AssertionError("the disk is never full")


def limit(store: SqlWriteStore, pages: int) -> None:
    """The disk is full after so many pages more."""
    connection = store._connection
    used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")
    connection.rollback()


@pytest.mark.parametrize("pages", range(4))
def test_a_full_disk_loses_whole_transactions_and_nothing_else(
    store: SqlWriteStore, path: Path, pages: int
) -> None:
    append(store)
    limit(store, pages)
    version = fill(store, version=1)
    commands = 1 + version // 10
    assert rows(path) == {
        "events": version,
        "outbox": version,
        "commands": commands,
        "head": version,
    }
    limit(store, 10_000)
    append(store, count=10, version=version)
    assert rows(path)["head"] == version + 10
    with store.begin() as unit:
        assert len(unit.events.read_log(after_position=0, limit=10_000)) == version + 10


def test_a_full_disk_in_a_refusal_leaves_nothing(
    store: SqlWriteStore, path: Path
) -> None:
    def refuse(number: int) -> None:
        with store.begin() as unit:
            unit.journal.add([a_record(f"id-{number}")])
            unit.commit()

    limit(store, 0)
    stored = 0
    with contextlib.suppress(StoreUnavailable):
        for number in range(FULL_BEFORE):
            refuse(number)
            stored += 1
    assert stored < FULL_BEFORE
    assert rows(path)["commands"] == stored


def test_a_store_that_another_process_holds_is_unavailable(
    store: SqlWriteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    store._connection.rollback()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            append(store)
        other.execute("ROLLBACK")
    append(store)


def overwrite(path: Path, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * size)


def test_a_file_that_is_no_database_is_broken(path: Path) -> None:
    path.write_bytes(b"\xa5" * 8192)
    with pytest.raises(StoreBroken):
        open_store(path)


def test_a_damaged_page_is_broken(path: Path) -> None:
    store = open_store(path)
    for version in range(0, 500, 100):
        append(store, count=100, version=version)
    store.close()
    overwrite(path, 4096, path.stat().st_size - 4096)
    with pytest.raises(StoreBroken):
        open_store(path)


def test_damage_under_a_running_store_is_broken(path: Path) -> None:
    store = open_store(path)
    for version in range(0, 500, 100):
        append(store, count=100, version=version)
    store.close()
    store = open_store(path)
    overwrite(path, 4096 * 12, path.stat().st_size - 4096 * 12)
    with pytest.raises(StoreBroken), store.begin() as unit:
        unit.events.load([STREAM])
    store.close()


def open_reader(path: Path) -> None:
    with SqlWriteStoreReader(reader_engine(path)).snapshot():
        pass


@pytest.mark.parametrize("open_it", [open_store, open_reader], ids=["owner", "reader"])
def test_tables_of_a_newer_release_fail_the_start(
    path: Path, open_it: Callable[[Path], object]
) -> None:
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE log_head SET schema_version = 3")
        connection.commit()
    with pytest.raises(StartFailed, match=r"version 3.*version 2"):
        open_it(path)


def without_triggers(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("position", [1, 3, 5], ids=["first", "middle", "last"])
def test_a_position_that_is_missing_is_corruption(
    store: SqlWriteStore, path: Path, reader: SqlWriteStoreReader, position: int
) -> None:
    append(store, count=5)
    without_triggers(path, f"DELETE FROM events WHERE position = {position}")
    with (
        pytest.raises(CorruptLog, match=f"position {position} is missing"),
        reader.snapshot() as snapshot,
    ):
        snapshot.events.read_log(after_position=0, limit=100)
    with (
        pytest.raises(CorruptLog, match=f"position {position} is missing"),
        reader.snapshot() as snapshot,
    ):
        snapshot.outbox.read(after_position=0, limit=100)


def test_an_append_over_a_damaged_head_is_refused(
    store: SqlWriteStore, path: Path
) -> None:
    append(store, count=5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE log_head SET position = 3")
        connection.commit()
    with pytest.raises(StreamConflict):
        append(store, version=5)
    assert rows(path)["events"] == 5
