"""The read stores that the conformance suites run against, and tables for them to hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

from eventcore.memory.read_store import MemoryReadStore
from eventcore.read_store import ReadStore
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine

SCHEMA_VERSION = 1

_metadata = MetaData()

things = Table(
    "things",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("size", Integer),
    Column("content", LargeBinary),
)

pairs = Table(
    "pairs",
    _metadata,
    Column("left", Text, primary_key=True),
    Column("right", Integer, primary_key=True),
)

TABLES = (things, pairs)
READ_STORES = ("memory", "sqlite")


@contextmanager
def read_store_of(backend: str, folder: Path) -> Iterator[ReadStore]:
    if backend == "memory":
        yield MemoryReadStore()
        return
    store = SqlReadStore(
        owner_engine(folder / "read.db", durable=False),
        tables=TABLES,
        schema_version=SCHEMA_VERSION,
    )
    yield store
    store.close()
