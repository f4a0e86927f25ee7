"""SQLite as the house uses it: what the file itself refuses, and who may open it how."""

import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from eventcore.errors import StartFailed, StoreBroken, StoreUnavailable
from eventcore.operators import Pause
from eventcore.sql.sqlite import (
    OwnedFile,
    _pragma,
    async_reader_engine,
    committing,
    owner_engine,
    reader_engine,
    translated,
)
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.eventcore.files import STORE_ID, STREAM, append, open_store
from tests.support.envelopes import a_failed, a_record, a_snapshot, an_accepted


def pragmas(engine: Engine) -> dict[str, object]:
    with engine.connect() as connection:
        return {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in (
                "journal_mode",
                "synchronous",
                "wal_autocheckpoint",
                "journal_size_limit",
            )
        }


# The log is append-only, and the database itself sees to it.

COLUMNS = (
    "event_id, category, type, schema_version, record_time, correlation_id, "
    "causation_id, actor, traceparent, payload"
)


def copy_of_event(verb: str, *, position: int, version: int) -> str:
    """Inserts the first event again, at another place."""
    return (
        f"{verb} INTO events (position, stream_id, stream_version, {COLUMNS}) "
        f"SELECT {position}, stream_id, {version}, {COLUMNS} FROM events "
        "WHERE position = 1"
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET payload = '{}' WHERE position = 1", "UPDATE refused"),
        ("UPDATE events SET position = 9 WHERE position = 1", "UPDATE refused"),
        (
            "UPDATE OR REPLACE events SET position = 1 WHERE position = 2",
            "UPDATE refused",
        ),
        ("DELETE FROM events WHERE position = 1", "DELETE refused"),
        ("DELETE FROM events", "DELETE refused"),
        (copy_of_event("INSERT", position=1, version=4), "the key exists"),
        (copy_of_event("INSERT OR REPLACE", position=1, version=4), "the key exists"),
        (copy_of_event("REPLACE", position=1, version=1), "the key exists"),
        (copy_of_event("INSERT OR REPLACE", position=9, version=2), "the key exists"),
        (copy_of_event("INSERT OR IGNORE", position=9, version=2), "the key exists"),
        (
            copy_of_event("INSERT", position=1, version=4)
            + " ON CONFLICT (position) DO UPDATE SET payload = '{}'",
            "the key exists",
        ),
        (copy_of_event("INSERT", position=9, version=5), "no version before"),
        (copy_of_event("INSERT", position=9, version=0), "no version before"),
    ],
)
def test_the_database_refuses_to_change_the_log(
    store: SqlWriteStore, path: Path, statement: str, said: str
) -> None:
    append(store, count=3)
    with closing(sqlite3.connect(path)) as intruder:
        before = intruder.execute("SELECT * FROM events").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match=said):
            intruder.execute(statement)
        intruder.rollback()
        assert intruder.execute("SELECT * FROM events").fetchall() == before


def test_the_database_takes_the_next_version_of_a_stream(
    store: SqlWriteStore, path: Path
) -> None:
    append(store, count=3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(copy_of_event("INSERT", position=4, version=4))
        connection.rollback()


# How the files are opened.


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_the_owner_waits_for_the_disk_as_it_was_told(
    path: Path,
    durable: bool,  # noqa: FBT001
    synchronous: int,
) -> None:
    engine = owner_engine(path, durable=durable)
    assert pragmas(engine) == {
        "journal_mode": "wal",
        "synchronous": synchronous,
        "wal_autocheckpoint": 1000,
        "journal_size_limit": 16 * 1024 * 1024,
    }
    engine.dispose()


def synchronous(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


@pytest.mark.parametrize("fault", [None, RuntimeError], ids=["well", "with an error"])
def test_commits_can_wait_for_the_disk_for_a_while(
    path: Path, fault: type[Exception] | None
) -> None:
    engine = owner_engine(path, durable=False)
    with engine.connect() as connection:
        with suppress(RuntimeError), committing(connection, durable=True):
            with connection.begin():
                assert synchronous(connection) == 2
            if fault is not None:
                raise fault
        assert synchronous(connection) == 1
        connection.rollback()
        with committing(connection, durable=False), connection.begin():
            assert synchronous(connection) == 1
    engine.dispose()


def test_what_went_wrong_is_told_also_where_the_transaction_cannot_be_ended(
    path: Path,
) -> None:
    engine = owner_engine(path, durable=False)
    with engine.connect() as connection:

        def fail() -> None:
            with committing(connection, durable=True):
                connection.begin()
                raise StoreBroken

        with pytest.raises(StoreBroken):
            fail()
    engine.dispose()


def test_a_pragma_that_is_not_obeyed_fails_the_start() -> None:
    # A database in memory cannot have a write-ahead log.
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StartFailed, match="journal_mode"),
    ):
        _pragma(connection, "journal_mode", "WAL", "wal")


def test_the_owner_begins_with_the_write_lock(store: SqlWriteStore, path: Path) -> None:
    with (
        store.begin(),
        closing(sqlite3.connect(path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO outbox (position) VALUES (1)",
        "UPDATE log_head SET position = 7",
        "DELETE FROM commands",
        "CREATE TABLE other (id)",
    ],
)
def test_a_reader_cannot_write(
    store: SqlWriteStore, path: Path, statement: str
) -> None:
    engine = reader_engine(path)
    with pytest.raises(StoreBroken), translated(), engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


async def test_an_asynchronous_reader_cannot_write(
    store: SqlWriteStore, path: Path
) -> None:
    engine = async_reader_engine(path, connections=1)
    with pytest.raises(StoreBroken), translated():
        async with engine.connect() as connection:
            await connection.execute(text("DELETE FROM commands"))
    await engine.dispose()


def test_a_reader_waits_for_the_owner_to_make_the_store(
    path: Path, reader: SqlWriteStoreReader
) -> None:
    def position() -> int:
        with reader.snapshot() as snapshot:
            return snapshot.events.head().position

    with pytest.raises(StoreUnavailable):
        position()
    assert not path.exists()
    engine = owner_engine(path, durable=False)
    with engine.connect(), pytest.raises(StoreUnavailable, match="not made yet"):
        position()
    engine.dispose()
    store = open_store(path)
    append(store)
    assert position() == 1
    store.close()


def test_a_reader_outlives_an_owner_that_starts_anew(
    path: Path, reader: SqlWriteStoreReader
) -> None:
    for version in range(3):
        store = open_store(path)
        append(store, version=version)
        with reader.snapshot() as snapshot:
            assert snapshot.events.head().position == version + 1
        store.close()


def test_a_store_that_is_opened_again_is_the_same(path: Path) -> None:
    store = open_store(path)
    append(store, count=2)
    store.close()
    again = SqlWriteStore(owner_engine(path, durable=False), new_store_id="0" * 32)
    assert again.store_id == STORE_ID
    with again.begin() as unit:
        assert unit.events.head().position == 2
    again.close()


def test_a_store_that_is_opened_again_has_its_queue_and_its_snapshots(
    path: Path,
) -> None:
    pause = Pause(reason="a look", time=5)
    waiting, broken = an_accepted("waiting", expected_version=3), a_failed("broken")
    store = open_store(path)
    with store.begin() as unit:
        _, sequence = unit.journal.accept([broken, waiting])
        unit.snapshots.save([a_snapshot(STREAM)])
        unit.control.set_pause(pause)
        unit.commit()
    store.close()
    again = open_store(path)
    with again.begin() as unit:
        (queued,) = unit.journal.queued(after_sequence=0, limit=10)
        assert (queued.accept_sequence, queued.command_id) == (sequence, "waiting")
        assert unit.journal.stored(["waiting", "broken"]) == {
            "waiting": waiting,
            "broken": broken,
        }
        assert unit.journal.failed_count() == 1
        assert unit.snapshots.load([STREAM]) == {STREAM: a_snapshot(STREAM)}
        assert unit.control.pause() == pause
    again.close()


def test_the_row_of_a_terminal_command_holds_no_request(
    store: SqlWriteStore, path: Path
) -> None:
    names = ("waiting", "done")
    with store.begin() as unit:
        unit.journal.accept([an_accepted(name, expected_version=3) for name in names])
        unit.journal.update([a_record("done")])
        unit.commit()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT command_id, request, expected_version FROM commands"
        ).fetchall()
    assert rows == [("waiting", '{"of":"waiting"}', 3), ("done", None, None)]


def test_a_store_closes_twice(path: Path) -> None:
    store = open_store(path)
    store.close()
    store.close()


# Who owns a file.

OWN = """
import sys
from pathlib import Path
from eventcore.errors import StartFailed
from eventcore.sql.sqlite import OwnedFile
try:
    owned = OwnedFile(Path(sys.argv[1]))
except StartFailed as error:
    sys.exit(error.message)
print("owned", flush=True)
sys.stdin.read()
"""


def other_process(path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", OWN, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_another_process_that_owns_the_file_keeps_it_until_it_dies(path: Path) -> None:
    with other_process(path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(StartFailed, match=r"in use by another process.*--data-dir"):
            OwnedFile(path)
        owner.kill()
        owner.wait(10)
        OwnedFile(path).release()


def test_a_file_that_is_owned_here_is_refused_to_another_process(path: Path) -> None:
    owned = OwnedFile(path)
    with other_process(path) as other:
        _, errors = other.communicate(timeout=20)
        assert "in use by another process" in errors
        assert other.returncode == 1
    owned.release()
    owned.release()
    OwnedFile(path).release()


def test_a_folder_that_cannot_be_made_fails_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StartFailed, match="--data-dir"):
        OwnedFile(blocked / "data" / "write.db")


def test_a_folder_is_made_if_it_is_missing(tmp_path: Path) -> None:
    OwnedFile(tmp_path / "a" / "b" / "write.db").release()
    assert (tmp_path / "a" / "b" / "write.db.lock").exists()
