"""The files of SQLite: where they lie, and what happens when one is not what it was."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from eventcore.errors import StartFailed, StoreReplaced
from eventcore.sql.sqlite import (
    async_reader_engine,
    opening,
    owner_engine,
    reader_engine,
)
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.eventcore.files import STORE_ID, append, open_store, rows

ODD_NAME = "a b#1?x=%41%2F&ü"


async def head_position(path: Path) -> int:
    engine = async_reader_engine(path, connections=1)
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT position FROM log_head"))
    await engine.dispose()
    return int(found.scalar_one())


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / ODD_NAME
    folder.mkdir()
    path = folder / "write.db"
    store = open_store(path)
    append(store)
    reader = SqlWriteStoreReader(reader_engine(path))
    with reader.snapshot() as snapshot:
        assert snapshot.events.head().position == 1
    assert asyncio.run(head_position(path)) == 1
    assert [found.name for found in tmp_path.iterdir()] == [ODD_NAME]
    assert {found.name.partition("-")[0] for found in folder.iterdir()} == {path.name}
    reader.close()
    store.close()


def move_away(path: Path) -> None:
    for name in list(path.parent.iterdir()):
        name.rename(name.with_name(f"old-{name.name}"))


@pytest.mark.parametrize("fate", ["gone", "replaced"])
def test_nothing_is_committed_to_a_file_that_was_moved_away(
    path: Path, store: SqlWriteStore, fate: str
) -> None:
    append(store)
    move_away(path)
    if fate == "replaced":
        other = open_store(path)
        append(other, count=3)
        other.close()
    with pytest.raises(StoreReplaced, match="removed or replaced"):
        append(store, version=1)
    if fate == "replaced":
        assert rows(path)["events"] == 3
    assert rows(path.with_name("old-write.db"))["events"] == 1


@pytest.mark.parametrize("fate", ["gone", "replaced"])
def test_nothing_is_read_from_a_file_that_was_moved_away(
    path: Path, store: SqlWriteStore, reader: SqlWriteStoreReader, fate: str
) -> None:
    append(store)
    with reader.snapshot() as snapshot:
        assert snapshot.events.head().position == 1
    move_away(path)
    if fate == "replaced":
        open_store(path).close()
    with pytest.raises(StoreReplaced), reader.snapshot() as snapshot:
        snapshot.events.head()


def test_a_damaged_file_fails_the_start_in_the_words_of_sqlite(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)
    with (
        pytest.raises(StartFailed, match=r"write\.db: file is not a database"),
        opening(path),
    ):
        SqlWriteStore(owner_engine(path, durable=True), new_store_id=STORE_ID)


def test_a_folder_in_place_of_the_file_fails_the_start(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StartFailed, match="unable to open"), opening(path):
        SqlWriteStore(owner_engine(path, durable=True), new_store_id=STORE_ID)
