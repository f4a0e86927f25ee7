"""What the read store in a file adds to the port: how it waits for the disk and for others."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from eventcore.errors import LeaseLost, StoreUnavailable
from eventcore.generations import Lease
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine
from tests.conformance.read_models import NOW, made, sizes, taken, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlReadStore]:
    with closing(SqlReadStore(owner_engine(path, durable=False))) as store:
        yield store


@pytest.fixture
def other(
    store: SqlReadStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqlReadStore]:
    """Another connection that writes, as of another process where a database allows it."""
    monkeypatch.setattr("eventcore.sql.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    with closing(SqlReadStore(owner_engine(path, durable=False))) as other:
        yield other


def seize(store: SqlReadStore) -> Lease:
    return taken(store, owner="other")


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])
def test_only_what_was_promised_waits_for_the_disk(
    store: SqlReadStore,
    durable: bool,  # noqa: FBT001
    level: int,
) -> None:
    """A read model that a power loss takes back is applied again from its checkpoint."""
    for _ in range(2):
        with store.begin(durable=durable) as unit:
            query = text("PRAGMA synchronous")
            assert store._connection.execute(query).scalar_one() == level
            unit.commit()
        with store.begin():
            assert store._connection.execute(query).scalar_one() == 1


def test_a_lease_is_not_taken_in_the_middle_of_a_unit_that_holds_it(
    store: SqlReadStore, other: SqlReadStore
) -> None:
    lease, number = taken(store), made(store)
    with store.begin() as unit:
        unit.held(lease)
        with pytest.raises(StoreUnavailable):
            seize(other)
        unit.commit()
    write(store, lease, number, "a")
    newer = seize(other)
    with pytest.raises(LeaseLost):
        write(store, lease, number, "b")
    write(other, newer, number, "c")
    with store.begin() as unit:
        assert unit.register.acquire("things", owner="", now=NOW, expire_time=0) is None
        tables = unit.generation(newer, number).tables
        assert sizes(tables, "a", "b", "c") == {"a": 1, "c": 1}
