"""The backends that the conformance suites run against."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.read_store import ReadStore, ReadStoreReader
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
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


@dataclass(slots=True)
class ReadBackend:
    """A read store, and a reader of it."""

    store: ReadStore
    reader: ReadStoreReader
    open: Callable[[], ReadStore]
    """Opens what an owner has left; a store in memory goes on being the one it is."""

    def restart(self) -> None:
        """As the process of the owner does."""
        self.store.close()
        self.store = self.open()


@pytest.fixture(params=["memory", "sqlite"])
def read_backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[ReadBackend]:
    if request.param == "memory":
        memory = MemoryReadStore()
        yield ReadBackend(memory, memory, lambda: memory)
        return
    path = tmp_path / "read.db"

    def open_store() -> ReadStore:
        return SqlReadStore(owner_engine(path, durable=False))

    backend = ReadBackend(
        open_store(), SqlReadStoreReader(reader_engine(path)), open_store
    )
    yield backend
    backend.reader.close()
    backend.store.close()


@pytest.fixture
def read_store(read_backend: ReadBackend) -> ReadStore:
    return read_backend.store
