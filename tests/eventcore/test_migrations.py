"""A write store of an earlier release is one of this release once its owner has opened it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Fingerprint,
    Kind,
    Lane,
    StreamId,
    Trace,
)
from eventcore.sql import migrations
from eventcore.sql.migrations import MIGRATIONS, Migration
from eventcore.sql.write_schema import SCHEMA_VERSION
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.eventcore.files import STORE_ID, open_store
from tests.eventcore.version_1 import EVENTS, STREAM_KEY, make_version_1
from tests.support.envelopes import a_failed, an_accepted, an_append

STREAM = StreamId("thing", STREAM_KEY)
LAST = MIGRATIONS[-1]


def dump(path: Path) -> list[str]:
    """Everything in the file: its tables with their rows."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def shape(path: Path) -> dict[str, object]:
    """What the tables, indexes and triggers are, in words that do not depend on how they came."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        objects = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
        ).fetchall()
        described: dict[str, object] = {}
        for kind, name, table, sql in objects:
            described[f"{kind} {name} of {table}"] = (
                connection.execute(f"PRAGMA table_info({name})").fetchall()
                if kind == "table"
                else " ".join((sql or "").split())
            )
    return described


@pytest.fixture
def old(path: Path) -> Path:
    make_version_1(path)
    return path


@pytest.fixture
def migrated(old: Path) -> Iterator[SqlWriteStore]:
    store = open_store(old)
    yield store
    store.close()


def test_the_steps_lead_to_the_version_of_this_release() -> None:
    assert [step.version for step in MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1))


def test_a_migrated_store_has_the_shape_of_a_new_one(
    old: Path, migrated: SqlWriteStore, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    open_store(new).close()
    assert shape(old) == shape(new)


def test_every_event_is_kept(old: Path, path: Path) -> None:
    def rows() -> list[object]:
        with closing(sqlite3.connect(old)) as connection:
            return [
                connection.execute(f"SELECT * FROM {table}").fetchall()
                for table in ("events", "outbox")
            ]

    before = rows()
    store = open_store(path)
    assert rows() == before
    assert store.store_id == STORE_ID
    with store.begin() as unit:
        head = unit.events.head()
        assert (head.position, head.record_time) == (EVENTS, 30)
        log = unit.events.read_log(after_position=0, limit=10)
        assert unit.outbox.read(after_position=0, limit=10).events == log
        assert unit.events.load([STREAM]) == {STREAM: log}
    assert [event.payload for event in log] == ['{"n":1}', '{"n":2}', '{"n":3}']
    store.close()


def test_every_command_is_answered_as_it_was(migrated: SqlWriteStore) -> None:
    with migrated.begin() as unit:
        found = unit.journal.find(["command-2", "refused"])
        assert unit.journal.stored(["command-2", "refused"]) == {}
        assert unit.journal.queued(after_sequence=0, limit=10) == []
        assert unit.journal.failed_count() == 0
    committed = CommandRecord(
        command_id="command-2",
        type="DoThing",
        stream=STREAM,
        fingerprint=Fingerprint(version=1, digest=b"0123456789abcdef"),
        stage=CommandStage.COMMITTED,
        lane=Lane.BULK,
        trace=Trace(correlation_id="flow", actor="me"),
        accept_time=5,
        complete_time=6,
        attempts=1,
        stream_version=2,
        position=2,
        event_count=1,
    )
    assert found["command-2"] == committed
    assert found["refused"].stage is CommandStage.REFUSED
    assert found["refused"].attempts == 1
    assert found["refused"].error == ErrorRecord(
        kind=Kind.PRECONDITION,
        reason="RULE_VIOLATED",
        message="größer als erlaubt",
        rule="OVERPAYMENT",
        facts={"due": "5"},
    )


def test_a_migrated_store_is_worked_with(migrated: SqlWriteStore) -> None:
    with migrated.begin() as unit:
        assert unit.control.pause() is None
        assert unit.snapshots.load([STREAM]) == {}
        (event,) = unit.events.append(
            [an_append(STREAM, expected_version=EVENTS)], now=40
        )
        sequences = unit.journal.accept([an_accepted("new"), a_failed("broken")])
        unit.commit()
    assert event.position == EVENTS + 1
    # Three that were committed and one that was refused came before.
    assert sequences == [5, 6]


HOLE = """
    INSERT INTO events SELECT 9, event_id, category, stream_id, 9, type, schema_version,
    record_time, correlation_id, causation_id, actor, traceparent, payload
    FROM events WHERE position = 1
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET payload = '{}'", "UPDATE refused"),
        ("DELETE FROM events", "DELETE refused"),
        ("INSERT OR REPLACE INTO events SELECT * FROM events", "the key exists"),
        (HOLE, "no version before"),
    ],
)
def test_the_log_is_still_append_only(
    old: Path, migrated: SqlWriteStore, statement: str, said: str
) -> None:
    with (
        closing(sqlite3.connect(old)) as intruder,
        pytest.raises(sqlite3.IntegrityError, match=said),
    ):
        intruder.execute(statement)


def cut_off_after(count: int) -> Migration:
    """The last step, with a statement that fails behind so many of its own."""
    statements = (*LAST.statements[:count], "SELECT no_such_function()")
    return Migration(version=LAST.version, statements=statements)


@pytest.mark.parametrize("count", range(len(LAST.statements) + 1))
def test_a_migration_that_is_cut_off_leaves_what_was_there(
    old: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    before = dump(old)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (cut_off_after(count),))
        with pytest.raises(OperationalError, match="no_such_function"):
            open_store(old)
    assert dump(old) == before
    open_store(old).close()
    assert len(dump(old)) > len(before)


def test_a_store_is_migrated_once(old: Path) -> None:
    open_store(old).close()
    once = dump(old)
    open_store(old).close()
    assert dump(old) == once


def test_a_reader_waits_until_the_owner_has_migrated_the_store(
    old: Path, reader: SqlWriteStoreReader
) -> None:
    def position() -> int:
        with reader.snapshot() as snapshot:
            return snapshot.events.head().position

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="not migrated yet"):
            position()
    store = open_store(old)
    assert position() == EVENTS
    store.close()


def test_a_reader_that_waits_for_a_migration_finds_a_newer_one(
    old: Path, reader: SqlWriteStoreReader
) -> None:
    with pytest.raises(StoreUnavailable), reader.snapshot():
        pass
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE log_head SET schema_version = 99")
        connection.commit()
    with pytest.raises(StartFailed, match="version 99"), reader.snapshot():
        pass
