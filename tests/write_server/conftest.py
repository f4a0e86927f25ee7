"""The stores that the executor is tested on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventcore.memory.write_store import MemoryWriteStore
from eventcore.sql.sqlite import owner_engine
from eventcore.sql.write_store import SqlWriteStore
from eventcore.write_store import WriteStore

STORE_ID = "01900000-0000-7000-8000-00000000abcd"


@contextmanager
def sqlite_store(folder: Path) -> Iterator[SqlWriteStore]:
    """A store in a file. What is tested here does not hang on the disk, so it is not waited for."""
    store = SqlWriteStore(
        owner_engine(folder / "write.db", durable=False), new_store_id=STORE_ID
    )
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WriteStore]:
    if request.param == "memory":
        yield MemoryWriteStore(store_id=STORE_ID)
        return
    with sqlite_store(tmp_path) as store:
        yield store


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqlWriteStore]:
    with sqlite_store(tmp_path) as store:
        yield store
