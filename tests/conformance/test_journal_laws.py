"""The journal in memory and the one in a file are the same journal, whatever is done to them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.command_journal import CommandJournal, JournalReader
from eventcore.errors import CommandIdTaken
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandRecord, StreamId
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.write_store import WriteStore, WriteStoreReader
from tests.conformance.conftest import STORE_ID
from tests.support.envelopes import a_failed, a_record, an_accepted, failed

NAMES = tuple("abcdef")
STREAM = StreamId("thing", "01900000-0000-7000-8000-000000000001")

Step: TypeAlias = Callable[[CommandJournal], object]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work: what it does, and whether it commits."""

    steps: list[Step]
    commits: bool


def record(name: str) -> CommandRecord:
    return a_record(name, STREAM)


def add(names: list[str]) -> Step:
    return lambda journal: journal.add([record(name) for name in names])


def accept(names: list[str]) -> Step:
    return lambda journal: journal.accept([an_accepted(name, STREAM) for name in names])


def accept_failed(name: str, fail_time: int) -> Step:
    given_up = a_failed(name, fail_time=fail_time)
    command = replace(given_up, record=replace(given_up.record, stream=STREAM))
    return lambda journal: journal.accept([command])


def begin(names: list[str]) -> Step:
    return lambda journal: journal.begin_attempts(names)


def complete(names: list[str]) -> Step:
    return lambda journal: journal.update([record(name) for name in names])


def give_up(name: str, fail_time: int) -> Step:
    return lambda journal: journal.update([failed(record(name), fail_time=fail_time)])


def requeue(names: list[str]) -> Step:
    return lambda journal: journal.requeue(names)


name = st.sampled_from(NAMES)
some_names = st.lists(name, max_size=3)
fail_times = st.integers(1, 3)
steps = st.one_of(
    st.builds(add, some_names),
    st.builds(accept, some_names),
    st.builds(accept_failed, name, fail_times),
    st.builds(begin, some_names),
    st.builds(complete, some_names),
    st.builds(give_up, name, fail_times),
    st.builds(requeue, some_names),
)
units = st.builds(Unit, st.lists(steps, max_size=3), st.booleans())


def seen(journal: JournalReader) -> list[object]:
    return [
        journal.find(NAMES),
        journal.stored(NAMES),
        journal.queued(after_sequence=0, limit=100),
        journal.failed(after=None, limit=100),
        journal.failed_count(),
    ]


def do(store: WriteStore, unit: Unit) -> list[object]:
    """What each step returned and left, and the error that ended the unit."""
    results: list[object] = []
    try:
        with store.begin() as transaction:
            for step in unit.steps:
                results.append(step(transaction.journal))
                results.append(seen(transaction.journal))
            if unit.commits:
                transaction.commit()
    except (CommandIdTaken, ValueError) as error:
        results.append(type(error))
    return results


def after(reader: WriteStoreReader) -> list[object]:
    with reader.snapshot() as snapshot:
        return seen(snapshot.journal)


@settings(max_examples=60, deadline=None)
@given(st.lists(units, max_size=8))
def test_both_journals_answer_alike(life: list[Unit]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "write.db"
        memory = MemoryWriteStore(store_id=STORE_ID)
        store = SqlWriteStore(owner_engine(path, durable=False), new_store_id=STORE_ID)
        reader = SqlWriteStoreReader(reader_engine(path))
        for unit in life:
            assert do(store, unit) == do(memory, unit)
            assert after(reader) == after(memory)
        reader.close()
        store.close()
