"""The stores that runners are tried over."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from tests.projector.scene import STORE_ID, Scene, Stores, a_scene_in_memory


@pytest.fixture(params=["memory", "sqlite"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    if request.param == "memory":
        with closing(a_scene_in_memory()) as scene:
            yield scene
        return
    path, read_path = tmp_path / "write.db", tmp_path / "read.db"
    stores = Stores(
        write=SqlWriteStore(owner_engine(path, durable=False), new_store_id=STORE_ID),
        reader=SqlWriteStoreReader(reader_engine(path)),
        read=SqlReadStore(owner_engine(read_path, durable=False)),
        open_reader=lambda: SqlReadStoreReader(reader_engine(read_path)),
    )
    reader = stores.reader
    with closing(Scene(stores)) as scene:
        yield scene
    reader.close()
    stores.write.close()
    stores.read.close()
