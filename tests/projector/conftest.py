"""The stores that runners are tried over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.projector.examples import CountingProjection
from tests.projector.scene import STORE_ID, Scene, Stores


@pytest.fixture(params=["memory", "sqlite"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    if request.param == "memory":
        memory = MemoryWriteStore(store_id=STORE_ID)
        yield Scene(Stores(memory, memory, MemoryReadStore()))
        return
    path = tmp_path / "write.db"
    stores = Stores(
        write=SqlWriteStore(owner_engine(path, durable=True), new_store_id=STORE_ID),
        reader=SqlWriteStoreReader(reader_engine(path)),
        read=SqlReadStore(
            owner_engine(tmp_path / "read.db", durable=False),
            tables=[
                *CountingProjection("first").tables,
                *CountingProjection("second").tables,
            ],
            schema_version=1,
        ),
    )
    reader = stores.reader
    yield Scene(stores)
    reader.close()
    stores.write.close()
    stores.read.close()
