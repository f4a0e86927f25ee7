"""Moments of the read store for queries: one generation, one checkpoint, never a mix."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from eventcore.errors import ProjectionRebuilding, StartFailed, StoreUnavailable
from eventcore.generations import Lease, Role
from eventcore.projection import Projection
from eventcore.read_store import ReadSnapshot
from eventcore.sql.read_schema import LAYOUT_VERSION
from eventcore.sql.read_snapshots import SqlReadSnapshots
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import async_reader_engine, owner_engine
from tests.conformance.read_models import (
    THINGS,
    a_checkpoint,
    made,
    switch,
    taken,
    things,
    write,
)
from tests.support.connections import connections_ended

NEWER = replace(THINGS, version=2)


class Owner:
    """A store with things in it, as its owner changes it from its own thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.store: SqlReadStore
        self.lease: Lease

    async def open(self) -> None:
        def make() -> None:
            self.store = SqlReadStore(owner_engine(self._path, durable=False))
            self.lease = taken(self.store)

        await asyncio.to_thread(make)

    async def make(self, *, version: int = 1, role: Role = Role.SERVING) -> None:
        await asyncio.to_thread(made, self.store, role=role, version=version)

    async def write(self, number: int, *names: str, position: int) -> None:
        await asyncio.to_thread(
            lambda: write(self.store, self.lease, number, *names, position=position)
        )

    async def switch(self, to: int, *, now: int = 1) -> None:
        await asyncio.to_thread(lambda: switch(self.store, to, now=now))

    async def drop(self, number: int) -> None:
        def drop() -> None:
            with self.store.begin() as unit:
                unit.register.drop("things", number)
                unit.register.empty_dropped(rows_max=1000)
                unit.commit()

        await asyncio.to_thread(drop)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read.db"


@pytest.fixture
async def owner(path: Path) -> AsyncIterator[Owner]:
    owner = Owner(path)
    await owner.open()
    yield owner
    await asyncio.to_thread(owner.store.close)


@pytest.fixture
async def snapshots(path: Path) -> AsyncIterator[SqlReadSnapshots]:
    snapshots = SqlReadSnapshots(async_reader_engine(path, connections=1))
    yield snapshots
    await snapshots.close()
    await connections_ended()


async def answer(
    snapshot: ReadSnapshot, projection: Projection = THINGS
) -> tuple[int, int, list[str]]:
    """Which generation answers, how far it is, and what it answers."""
    served = await snapshot.served(projection)
    own = served.table(things)
    rows = await snapshot.fetch(select(own.c.name).order_by(own.c.name))
    return served.generation, served.checkpoint.position, [row.name for row in rows]


async def ask(
    snapshots: SqlReadSnapshots, projection: Projection = THINGS
) -> tuple[int, int, list[str]]:
    async with snapshots.open() as snapshot:
        return await answer(snapshot, projection)


async def test_what_serves_answers_as_of_one_moment(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    await owner.write(1, "a", position=1)
    async with snapshots.open() as snapshot:
        served = await snapshot.served(THINGS)
        assert served.checkpoint == a_checkpoint(1)
        await owner.write(1, "b", position=2)
        assert await answer(snapshot) == (1, 1, ["a"])
    assert await ask(snapshots) == (1, 2, ["a", "b"])


async def test_a_query_never_sees_a_mix_while_another_generation_takes_over(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    await owner.write(1, "old", position=1)
    await owner.make(role=Role.BUILDING)
    await owner.write(2, "new", position=2)
    async with snapshots.open() as snapshot:
        served = await snapshot.served(THINGS)
        await owner.switch(2)
        await owner.drop(1)
        rows = await snapshot.fetch(select(served.table(things).c.name))
        assert [row.name for row in rows] == ["old"]
        assert await answer(snapshot) == (1, 1, ["old"])
    assert await ask(snapshots) == (2, 2, ["new"])


async def test_code_of_a_version_is_answered_from_a_generation_of_it(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    await owner.write(1, "old", position=1)
    await owner.make(version=2, role=Role.BUILDING)
    await owner.write(2, "new", position=5)
    await owner.switch(2)
    assert await ask(snapshots, THINGS) == (1, 1, ["old"])
    assert await ask(snapshots, NEWER) == (2, 5, ["new"])


async def test_what_is_being_made_is_said_with_how_far_it_is(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    await owner.make(version=2, role=Role.BUILDING)
    await owner.write(2, "a", position=4)
    with pytest.raises(ProjectionRebuilding) as caught:
        await ask(snapshots, NEWER)
    assert caught.value.facts == {
        "projection": "things",
        "position": "4",
        "head_position": "6",
    }


@pytest.mark.usefixtures("owner")
async def test_what_the_store_has_never_heard_of_is_unavailable(
    snapshots: SqlReadSnapshots,
) -> None:
    with pytest.raises(StoreUnavailable, match="not made yet"):
        await ask(snapshots, NEWER)


async def test_where_only_another_release_has_made_it_it_is_still_to_be_made(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    with pytest.raises(ProjectionRebuilding) as caught:
        await ask(snapshots, NEWER)
    assert caught.value.facts["position"] == "0"


async def test_before_the_file_is_made_it_is_unavailable(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    with pytest.raises(StoreUnavailable):
        await ask(snapshots)
    owner = Owner(path)
    await owner.open()
    await owner.make()
    assert await ask(snapshots) == (1, 0, [])
    await asyncio.to_thread(owner.store.close)


async def test_a_file_without_its_tables_is_unavailable(
    snapshots: SqlReadSnapshots, path: Path
) -> None:
    def make_empty() -> None:
        engine = owner_engine(path, durable=False)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE something (id INTEGER)"))
        engine.dispose()

    await asyncio.to_thread(make_empty)
    with pytest.raises(StoreUnavailable, match="not made yet"):
        await ask(snapshots)


async def set_layout(path: Path, version: int) -> None:
    def change() -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE read_meta SET schema_version = ?", (version,))

    await asyncio.to_thread(change)


async def test_another_layout_is_not_read(
    owner: Owner, snapshots: SqlReadSnapshots, path: Path
) -> None:
    await owner.make()
    await set_layout(path, LAYOUT_VERSION + 1)
    with pytest.raises(StartFailed, match=f"version {LAYOUT_VERSION + 1}"):
        await ask(snapshots)
    await set_layout(path, LAYOUT_VERSION - 1)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="older release"):
            await ask(snapshots)
    await set_layout(path, LAYOUT_VERSION)
    assert await ask(snapshots) == (1, 0, [])


async def test_who_waits_too_long_for_a_connection_is_told(
    owner: Owner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventcore.sql.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    await owner.make()
    snapshots = SqlReadSnapshots(async_reader_engine(path, connections=1))
    async with snapshots.open():
        with pytest.raises(StoreUnavailable, match="too many queries"):
            await ask(snapshots)
    assert await ask(snapshots) == (1, 0, [])
    await snapshots.close()
    await connections_ended()


async def test_closing_waits_for_who_is_reading_and_lets_nobody_in(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    await owner.make()
    async with snapshots.open() as snapshot:
        closing_it = asyncio.create_task(snapshots.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await ask(snapshots)
        assert await answer(snapshot) == (1, 0, [])
        assert not closing_it.done()
    await closing_it
    await snapshots.close()


async def test_a_failure_of_who_asks_gives_the_moment_back(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    async def fail() -> None:
        async with snapshots.open() as snapshot:
            await answer(snapshot)
            raise RuntimeError("of a query")

    await owner.make()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="of a query"):
            await fail()
    await owner.write(1, "a", position=1)
    assert await ask(snapshots) == (1, 1, ["a"])


async def test_who_is_cancelled_gives_the_moment_back(
    owner: Owner, snapshots: SqlReadSnapshots
) -> None:
    has_asked = asyncio.Event()

    async def wait() -> None:
        async with snapshots.open() as snapshot:
            await answer(snapshot)
            has_asked.set()
            await asyncio.Event().wait()

    await owner.make()
    waiting = asyncio.create_task(wait())
    await has_asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await owner.write(1, "a", position=1)
    assert await ask(snapshots) == (1, 1, ["a"])
