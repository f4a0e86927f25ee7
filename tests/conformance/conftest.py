"""The backends that the conformance suites run against."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventcore.memory.write_store import MemoryWriteStore
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.write_store import WriteStore, WriteStoreReader

STORE_ID = "01900000-0000-7000-8000-00000000abcd"


@dataclass(frozen=True, slots=True)
class WriteBackend:
    """A write store, and a reader of it."""

    store: WriteStore
    reader: WriteStoreReader


@pytest.fixture(params=["memory", "sqlite"])
def write_backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[WriteBackend]:
    if request.param == "memory":
        memory = MemoryWriteStore(store_id=STORE_ID)
        yield WriteBackend(memory, memory)
        return
    path = tmp_path / "write.db"
    store = SqlWriteStore(owner_engine(path, durable=True), new_store_id=STORE_ID)
    reader = SqlWriteStoreReader(reader_engine(path))
    yield WriteBackend(store, reader)
    reader.close()
    store.close()
