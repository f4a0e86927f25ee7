"""What every write store guarantees of its unit of work and its snapshots."""

from collections.abc import Callable

import pytest

from eventcore.errors import StreamConflict
from eventcore.write_store import WriteStoreReader, WriteUnit
from tests.conformance.conftest import STORE_ID, WriteBackend
from tests.support.envelopes import a_record, a_stream, an_append

STREAM = a_stream()

STEPS: tuple[Callable[[WriteUnit], object], ...] = (
    lambda unit: unit.events.append([an_append(STREAM, count=2)], now=10),
    lambda unit: unit.outbox.add([1, 2]),
    lambda unit: unit.journal.add([a_record("command", STREAM)]),
)


def run_steps(unit: WriteUnit, count: int) -> None:
    for step in STEPS[:count]:
        step(unit)


def what_is_there(reader: WriteStoreReader) -> tuple[int, int, int, int]:
    """Head, events, outbox rows and commands, in one snapshot."""
    with reader.snapshot() as snapshot:
        head = snapshot.events.head().position
        return (
            head,
            len(snapshot.events.load([STREAM])[STREAM]),
            len(snapshot.outbox.read(after_position=0, limit=10).events),
            len(snapshot.journal.find(["command"])),
        )


def test_a_commit_shows_everything_at_once(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(write_backend.reader) == (2, 2, 2, 1)


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_leaving_without_a_commit_leaves_nothing(
    write_backend: WriteBackend, count: int
) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, count)
    assert what_is_there(write_backend.reader) == (0, 0, 0, 0)


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_a_failure_between_any_two_calls_leaves_nothing(
    write_backend: WriteBackend, count: int
) -> None:
    def cut_off() -> None:
        with write_backend.store.begin() as unit:
            run_steps(unit, count)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut_off()
    assert what_is_there(write_backend.reader) == (0, 0, 0, 0)


def test_a_unit_works_after_one_that_lost(write_backend: WriteBackend) -> None:
    with pytest.raises(StreamConflict), write_backend.store.begin() as unit:
        unit.events.append([an_append(STREAM, expected_version=7)], now=1)
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(write_backend.reader) == (2, 2, 2, 1)


def test_a_unit_sees_what_it_has_done(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        assert unit.events.head().position == 2
        assert unit.events.versions([STREAM]) == {STREAM: 2}
        assert len(unit.events.load([STREAM])[STREAM]) == 2
        assert list(unit.journal.find(["command"])) == ["command"]
        assert len(unit.outbox.read(after_position=0, limit=10).events) == 2


def test_a_snapshot_does_not_see_what_is_not_committed(
    write_backend: WriteBackend,
) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        assert what_is_there(write_backend.reader) == (0, 0, 0, 0)


def test_a_snapshot_stays_as_it_was_while_others_commit(
    write_backend: WriteBackend,
) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.head().position == 0
        with write_backend.store.begin() as unit:
            run_steps(unit, len(STEPS))
            unit.commit()
        assert snapshot.events.head().position == 0
        assert snapshot.events.load([STREAM]) == {STREAM: []}
        assert snapshot.outbox.read(after_position=0, limit=10).events == []
        assert snapshot.journal.find(["command"]) == {}
    assert what_is_there(write_backend.reader) == (2, 2, 2, 1)


def test_a_store_keeps_the_id_that_it_was_made_with(
    write_backend: WriteBackend,
) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.head().store_id == STORE_ID
