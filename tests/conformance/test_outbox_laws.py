"""Whatever was pruned, a reader gets what follows its position, or hears that it is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text

from eventcore.errors import CorruptLog
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_schema import events
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.write_store import WriteStore, WriteStoreReader
from tests.conformance.conftest import STORE_ID
from tests.support.envelopes import a_stream, an_append

LENGTH_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A log, and what became of its outbox."""

    length: int
    pruned: int
    """The highest position that was pruned; 0 is none."""
    not_in_outbox: int | None = None
    not_in_log: int | None = None

    @property
    def in_outbox(self) -> list[int]:
        return [p for p in range(1, self.length + 1) if p != self.not_in_outbox]

    def follows(self, after_position: int, limit: int) -> list[int]:
        """What a reader is to get.

        Raises:
            CorruptLog: it is not there.
        """
        if after_position > self.length:
            raise CorruptLog(f"position {after_position} is beyond the end")
        wanted = range(after_position + 1, min(after_position + limit, self.length) + 1)
        kept = [position for position in self.in_outbox if position > self.pruned]
        reads_outbox = bool(kept) and kept[0] <= after_position + 1
        if reads_outbox and self.not_in_outbox in wanted:
            raise CorruptLog(f"position {self.not_in_outbox} is missing in the outbox")
        if self.not_in_log in wanted:
            raise CorruptLog(f"position {self.not_in_log} is missing in the log")
        return list(wanted)


@st.composite
def lives(draw: st.DrawFn, *, log_may_be_damaged: bool) -> Life:
    length = draw(st.integers(0, LENGTH_MAX))
    one_of_them = st.none() | st.integers(1, length) if length else st.none()
    return Life(
        length=length,
        pruned=draw(st.integers(0, length)),
        not_in_outbox=draw(one_of_them),
        not_in_log=draw(one_of_them) if log_may_be_damaged else None,
    )


positions = st.integers(0, LENGTH_MAX + 2)
limits = st.integers(1, LENGTH_MAX + 2)
reads = st.lists(st.tuples(positions, limits), min_size=1, max_size=10)
batches = st.integers(1, 5)


def live(store: WriteStore, life: Life, *, batch: int) -> None:
    """Fills a store, and prunes its outbox in batches."""
    with store.begin() as unit:
        if life.length:
            unit.events.append([an_append(a_stream(), count=life.length)], now=1)
            unit.outbox.add(life.in_outbox)
        unit.commit()
    pruned = batch
    while pruned == batch:
        with store.begin() as unit:
            pruned = unit.outbox.prune(up_to_position=life.pruned, limit=batch)
            unit.commit()
        assert pruned <= batch


def assert_reads(
    reader: WriteStoreReader, life: Life, after_position: int, limit: int
) -> None:
    """It gets what follows, as the log has it, or the error that says what is not there."""
    with reader.snapshot() as snapshot:
        try:
            expected = life.follows(after_position, limit)
        except CorruptLog as corrupt:
            with pytest.raises(CorruptLog, match=corrupt.message):
                snapshot.outbox.read(after_position=after_position, limit=limit)
            return
        batch = snapshot.outbox.read(after_position=after_position, limit=limit)
        log = snapshot.events.read_log(after_position=after_position, limit=limit)
    assert [envelope.position for envelope in batch.events] == expected
    assert batch.events == log
    assert batch.head_position == life.length


@contextmanager
def sqlite() -> Iterator[tuple[SqlWriteStore, SqlWriteStoreReader]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "write.db"
        store = SqlWriteStore(owner_engine(path, durable=False), new_store_id=STORE_ID)
        reader = SqlWriteStoreReader(reader_engine(path))
        yield store, reader
        reader.close()
        store.close()


def remove_from_log(store: SqlWriteStore, position: int) -> None:
    """What no release of ours does: the file is damaged."""
    with store._engine.begin() as connection:
        connection.execute(text("DROP TRIGGER events_refuse_delete"))
        connection.execute(delete(events).where(events.c.position == position))


@settings(max_examples=200, deadline=None)
@given(lives(log_may_be_damaged=False), batches, reads)
def test_in_memory_each_read_gets_what_follows_or_hears_that_it_is_not_there(
    life: Life, batch: int, reads: list[tuple[int, int]]
) -> None:
    store = MemoryWriteStore(store_id=STORE_ID)
    live(store, life, batch=batch)
    for after_position, limit in reads:
        assert_reads(store, life, after_position, limit)


@settings(max_examples=100, deadline=None)
@given(lives(log_may_be_damaged=True), batches, reads)
def test_in_a_file_each_read_gets_what_follows_or_hears_that_it_is_not_there(
    life: Life, batch: int, reads: list[tuple[int, int]]
) -> None:
    with sqlite() as (store, reader):
        live(store, life, batch=batch)
        if life.not_in_log is not None:
            remove_from_log(store, life.not_in_log)
        for after_position, limit in reads:
            assert_reads(reader, life, after_position, limit)
