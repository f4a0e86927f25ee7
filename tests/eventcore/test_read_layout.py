"""A read store of another release: an older one's is given up bit by bit, a newer one's is left."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.generations import Role
from eventcore.sql import read_layout
from eventcore.sql.read_layout import EARLIER_RELEASE
from eventcore.sql.read_schema import LAYOUT_VERSION, metadata
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import owner_engine, reader_engine
from tests.conformance.read_models import generation, made, sizes, taken, write

OLD_LAYOUT = """
CREATE TABLE read_meta (id INTEGER NOT NULL PRIMARY KEY, schema_version INTEGER NOT NULL);
CREATE TABLE checkpoints (projection TEXT NOT NULL PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, old INTEGER);
CREATE INDEX things_by_size ON things (old);
CREATE TABLE pairs (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));
INSERT INTO read_meta VALUES (1, 1);
INSERT INTO checkpoints VALUES ('things', 7);
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 25)
    INSERT INTO things SELECT 'thing ' || i, i FROM n;
INSERT INTO pairs SELECT name, old FROM things;
"""
OLD_ROWS = 2 * 25
OLD_TABLES = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read.db"


@pytest.fixture
def old(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD_LAYOUT)
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[SqlReadStoreReader]:
    with closing(SqlReadStoreReader(reader_engine(path))) as reader:
        yield reader


def open_store(path: Path) -> SqlReadStore:
    return SqlReadStore(owner_engine(path, durable=False))


def set_layout(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE read_meta SET schema_version = ?", (version,))


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def names_in(path: Path) -> set[str]:
    """The tables and indexes there are, but for those that SQLite makes itself."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        )
        return {name for (name,) in rows}


def look(reader: SqlReadStoreReader) -> None:
    with reader.snapshot():
        pass


def empty(store: SqlReadStore, *, rows_max: int) -> int:
    with store.begin() as unit:
        removed = unit.register.empty_dropped(rows_max=rows_max)
        unit.commit()
    return removed


def test_a_new_store_is_of_this_layout(path: Path, reader: SqlReadStoreReader) -> None:
    with closing(open_store(path)) as store:
        assert store.replaced_layout is None
        look(reader)
    assert names_in(path) == set(metadata.tables)
    with closing(open_store(path)) as store:
        assert store.replaced_layout is None


def test_a_newer_layout_is_refused_and_not_touched(
    path: Path, reader: SqlReadStoreReader
) -> None:
    open_store(path).close()
    set_layout(path, LAYOUT_VERSION + 1)
    before = dump(path)
    version = f"version {LAYOUT_VERSION + 1}, this release knows version"
    with pytest.raises(StartFailed, match=rf"{version}.*remove read\.db"):
        open_store(path)
    with pytest.raises(StartFailed, match=version):
        look(reader)
    assert dump(path) == before


def test_an_older_layout_is_replaced_at_once_and_its_rows_bit_by_bit(
    old: Path,
) -> None:
    with closing(open_store(old)) as store:
        assert store.replaced_layout == 1
        with store.begin() as unit:
            assert unit.register.dropped() == [(EARLIER_RELEASE, 0)]
        removed = []
        while some := empty(store, rows_max=10):
            removed.append(some)
            # The owner goes on with its work in between.
            lease = taken(store)
            number = made(store, role=Role.BUILDING)
            write(store, lease, number, "a")
        assert sum(removed) == OLD_ROWS + OLD_TABLES
        assert max(removed) <= 11
        assert len(removed) > 4
        with store.begin() as unit:
            assert unit.register.dropped() == []
            assert sizes(unit.generation(lease, number).tables, "a") == {"a": 1}
    names = names_in(old)
    assert not names & {"things", "things_by_size", "pairs", "checkpoints"}
    assert names >= set(metadata.tables)


def test_giving_up_an_older_layout_is_gone_on_with_after_a_restart(old: Path) -> None:
    with closing(open_store(old)) as store:
        assert empty(store, rows_max=10) == 10
    with closing(open_store(old)) as store:
        assert store.replaced_layout is None
        assert empty(store, rows_max=1000) == OLD_ROWS - 10 + OLD_TABLES
        assert empty(store, rows_max=1000) == 0
    assert names_in(old) == set(metadata.tables)


def test_new_read_models_may_be_called_as_the_old_ones(
    old: Path, reader: SqlReadStoreReader
) -> None:
    with closing(open_store(old)) as store:
        lease, number = taken(store), made(store)
        write(store, lease, number, "a", position=1)
        with reader.snapshot() as snapshot:
            assert sizes(snapshot.generation(number), "a", "thing 1") == {"a": 1}
        while empty(store, rows_max=1000):
            pass
        assert generation(store, number).checkpoint.position == 1


def test_replacing_a_layout_is_all_or_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_arguments: object) -> None:
        raise RuntimeError("power cut")

    before = dump(old)
    with monkeypatch.context() as patch:
        patch.setattr(read_layout, "_give_up", cut_off)
        with pytest.raises(RuntimeError, match="power cut"):
            open_store(old)
    assert dump(old) == before
    with closing(open_store(old)) as store:
        assert store.replaced_layout == 1


def test_readers_wait_until_the_store_is_made(
    path: Path, reader: SqlReadStoreReader
) -> None:
    with pytest.raises(StoreUnavailable):
        look(reader)
    assert not path.exists()
    engine = owner_engine(path, durable=False)
    with engine.connect(), pytest.raises(StoreUnavailable, match="not made yet"):
        look(reader)
    engine.dispose()
    with closing(open_store(path)):
        look(reader)


def test_readers_wait_until_an_older_layout_is_replaced(
    old: Path, reader: SqlReadStoreReader
) -> None:
    with pytest.raises(StoreUnavailable, match="older release"):
        look(reader)
    with closing(open_store(old)):
        look(reader)


def test_what_a_reader_of_an_older_layout_has_open_stays(old: Path) -> None:
    with closing(sqlite3.connect(f"file:{old}?mode=ro", uri=True)) as before:
        before.execute("BEGIN")
        query = "SELECT count(*) FROM things"
        assert before.execute(query).fetchone() == (25,)
        with closing(open_store(old)) as store:
            while empty(store, rows_max=1000):
                pass
            assert before.execute(query).fetchone() == (25,)
