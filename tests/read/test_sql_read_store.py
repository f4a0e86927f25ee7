"""What the SQLite read store adds to the port: how it is made, opened and read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text, select, text

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.sql.read_snapshots import SqlReadSnapshots
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import async_reader_engine, owner_engine
from tests.conformance.read_store_backends import TABLES, things
from tests.support.connections import connections_ended

CHECKPOINT = Checkpoint(projection="things", store_id="store", position=1)


def make(path: Path, *, schema_version: int = 1) -> SqlReadStore:
    return SqlReadStore(
        owner_engine(path, durable=False),
        tables=TABLES,
        schema_version=schema_version,
    )


def write(store: SqlReadStore, name: str, checkpoint: Checkpoint) -> None:
    with store.begin() as unit:
        unit.tables.write(things, [{"name": name, "size": 1, "content": b""}])
        before = unit.checkpoints.get(checkpoint.projection)
        unit.checkpoints.advance(
            checkpoint, expected_position=None if before is None else before.position
        )
        unit.commit()


def is_there(store: SqlReadStore, name: str) -> tuple[bool, Checkpoint | None]:
    with store.begin() as unit:
        found = unit.tables.fetch(things, [(name,)])
        return (name,) in found, unit.checkpoints.get("things")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read.db"


@pytest.fixture
async def snapshots(path: Path) -> AsyncIterator[SqlReadSnapshots]:
    snapshots = SqlReadSnapshots(
        async_reader_engine(path, connections=1), schema_version=1
    )
    yield snapshots
    await snapshots.close()
    await connections_ended()


async def names_and_position(snapshots: SqlReadSnapshots) -> tuple[list[str], int]:
    async with snapshots.open() as snapshot:
        rows = await snapshot.fetch(select(things.c.name))
        checkpoint = await snapshot.checkpoint("things")
        return [row.name for row in rows], checkpoint.position


def test_what_was_committed_is_there_after_a_restart(path: Path) -> None:
    store = make(path)
    write(store, "a", CHECKPOINT)
    store.close()
    store = make(path)
    with store.begin() as unit:
        assert set(unit.tables.fetch(things, [("a",)])) == {("a",)}
        assert unit.checkpoints.get("things") == CHECKPOINT
    store.close()


def test_tables_of_a_newer_release_are_not_touched(path: Path) -> None:
    store = make(path, schema_version=8)
    write(store, "a", CHECKPOINT)
    store.close()
    with pytest.raises(StartFailed, match=r"version 8.*remove read\.db"):
        make(path, schema_version=7)
    store = make(path, schema_version=8)
    assert store.replaced_version is None
    assert is_there(store, "a") == (True, CHECKPOINT)
    store.close()


def test_tables_of_an_older_release_are_emptied(path: Path) -> None:
    store = make(path, schema_version=7)
    assert store.replaced_version is None
    write(store, "a", CHECKPOINT)
    store.close()
    store = make(path, schema_version=8)
    assert store.replaced_version == 7
    assert is_there(store, "a") == (False, None)
    write(store, "b", CHECKPOINT)
    store.close()
    store = make(path, schema_version=8)
    assert store.replaced_version is None
    assert is_there(store, "b") == (True, CHECKPOINT)
    store.close()


def test_a_table_of_an_older_release_gets_its_new_columns(path: Path) -> None:
    engine = owner_engine(path, durable=False)
    older = Table("things", MetaData(), Column("old_name", Text, primary_key=True))
    SqlReadStore(engine, tables=[older], schema_version=7).close()
    store = make(path, schema_version=8)
    write(store, "a", CHECKPOINT)
    assert is_there(store, "a") == (True, CHECKPOINT)
    store.close()


def test_emptying_an_older_release_is_all_or_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("power cut")

    store = make(path, schema_version=7)
    write(store, "a", CHECKPOINT)
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(things, "create", cut_off)
        with pytest.raises(RuntimeError, match="power cut"):
            make(path, schema_version=8)
    store = make(path, schema_version=7)
    assert is_there(store, "a") == (True, CHECKPOINT)
    store.close()


def test_a_new_read_model_gets_its_tables_beside_the_others(path: Path) -> None:
    SqlReadStore(owner_engine(path, durable=False), tables=[], schema_version=1).close()
    store = make(path)
    write(store, "a", CHECKPOINT)
    store.close()


async def test_before_the_file_is_made_it_is_unavailable(
    snapshots: SqlReadSnapshots,
) -> None:
    with pytest.raises(StoreUnavailable):
        await names_and_position(snapshots)


async def test_before_the_first_checkpoint_it_is_unavailable(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    store = await asyncio.to_thread(make, path)
    with pytest.raises(StoreUnavailable, match="not made yet"):
        await names_and_position(snapshots)
    await asyncio.to_thread(store.close)


async def test_a_file_without_its_tables_is_unavailable(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    def make_empty() -> None:
        engine = owner_engine(path, durable=False)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE something (id INTEGER)"))
        engine.dispose()

    await asyncio.to_thread(make_empty)
    with pytest.raises(StoreUnavailable):
        await names_and_position(snapshots)


async def test_tables_of_an_older_release_are_not_made_anew_yet(
    path: Path,
) -> None:
    store = await asyncio.to_thread(lambda: make(path, schema_version=1))
    await asyncio.to_thread(write, store, "old", CHECKPOINT)
    await asyncio.to_thread(store.close)
    snapshots = SqlReadSnapshots(
        async_reader_engine(path, connections=1), schema_version=2
    )
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="older release"):
            await names_and_position(snapshots)
    store = await asyncio.to_thread(lambda: make(path, schema_version=2))
    with pytest.raises(StoreUnavailable, match="not made yet"):
        await names_and_position(snapshots)
    await asyncio.to_thread(write, store, "new", CHECKPOINT)
    assert await names_and_position(snapshots) == (["new"], 1)
    await snapshots.close()
    await asyncio.to_thread(store.close)
    await connections_ended()


async def test_tables_of_a_newer_release_are_not_read(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    store = await asyncio.to_thread(lambda: make(path, schema_version=2))
    with pytest.raises(StartFailed, match="version 2"):
        await names_and_position(snapshots)
    await asyncio.to_thread(store.close)


async def test_rows_and_checkpoint_are_of_one_moment(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    store = await asyncio.to_thread(make, path)
    await asyncio.to_thread(write, store, "a", CHECKPOINT)
    later = Checkpoint(projection="things", store_id="store", position=2)
    async with snapshots.open() as snapshot:
        rows = await snapshot.fetch(select(things.c.name))
        await asyncio.to_thread(write, store, "b", later)
        checkpoint = await snapshot.checkpoint("things")
        assert ([row.name for row in rows], checkpoint.position) == (["a"], 1)
    assert await names_and_position(snapshots) == (["a", "b"], 2)
    await asyncio.to_thread(store.close)


async def test_who_waits_too_long_for_a_connection_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventcore.sql.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    store = await asyncio.to_thread(make, path)
    await asyncio.to_thread(write, store, "a", CHECKPOINT)
    snapshots = SqlReadSnapshots(
        async_reader_engine(path, connections=1), schema_version=1
    )
    async with snapshots.open():
        with pytest.raises(StoreUnavailable, match="too many queries"):
            await names_and_position(snapshots)
    assert await names_and_position(snapshots) == (["a"], 1)
    await snapshots.close()
    await asyncio.to_thread(store.close)


async def test_closing_waits_for_who_is_reading_and_lets_nobody_in(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    store = await asyncio.to_thread(make, path)
    await asyncio.to_thread(write, store, "a", CHECKPOINT)
    async with snapshots.open() as snapshot:
        closing = asyncio.create_task(snapshots.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await names_and_position(snapshots)
        assert (await snapshot.checkpoint("things")).position == 1
        assert not closing.done()
    await closing
    await asyncio.to_thread(store.close)


def test_its_commits_do_not_wait_for_the_disk(path: Path) -> None:
    """A read model that a power loss takes back is applied again from its checkpoint."""
    store = make(path)
    with store.begin():
        level = store._connection.execute(text("PRAGMA synchronous")).scalar_one()
    assert level == 1
    store.close()
