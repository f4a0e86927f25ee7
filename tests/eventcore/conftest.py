"""A write store in a file, and a reader of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventcore.sql.sqlite import reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.eventcore.files import open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "write.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlWriteStore]:
    store = open_store(path)
    yield store
    store.close()


@pytest.fixture
def reader(path: Path) -> Iterator[SqlWriteStoreReader]:
    reader = SqlWriteStoreReader(reader_engine(path))
    yield reader
    reader.close()
