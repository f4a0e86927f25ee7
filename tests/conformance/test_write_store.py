"""What every write store guarantees of its unit of work and its snapshots."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from eventcore.errors import StreamConflict
from eventcore.messages import CommandStage
from eventcore.operators import Pause
from eventcore.write_store import WriteSnapshot, WriteStoreReader, WriteUnit
from tests.conformance.conftest import STORE_ID, WriteBackend
from tests.support.envelopes import (
    a_failed,
    a_record,
    a_snapshot,
    a_stream,
    an_accepted,
    an_append,
)

STREAM = a_stream()
PAUSE = Pause(reason="a look", time=7)
DONE = replace(a_record("done", STREAM), attempts=2)

STEPS: tuple[Callable[[WriteUnit], object], ...] = (
    lambda unit: unit.events.append([an_append(STREAM, count=2)], now=10),
    lambda unit: unit.outbox.add([2, 3]),
    lambda unit: unit.outbox.prune(up_to_position=2, limit=1),
    lambda unit: unit.journal.add([a_record("command", STREAM)]),
    lambda unit: unit.journal.accept([an_accepted("new", STREAM)]),
    lambda unit: unit.journal.begin_attempts(["waiting", "new"]),
    lambda unit: unit.journal.update([DONE]),
    lambda unit: unit.journal.requeue(["given up"]),
    lambda unit: unit.snapshots.save([a_snapshot(STREAM, stream_version=2)]),
    lambda unit: unit.control.set_pause(None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a store holds, of all that the steps change."""

    head: int
    versions: list[int]
    followed: list[int]
    outbox_lowest: int | None
    stages: dict[str, tuple[CommandStage, int]]
    """Of each command, with its attempts."""
    queue: list[tuple[int, str]]
    failed: list[str]
    snapshot_version: int
    pause: Pause | None


BEFORE = Held(
    head=1,
    versions=[],
    followed=[1],
    outbox_lowest=1,
    stages={
        "done": (CommandStage.ACCEPTED, 0),
        "waiting": (CommandStage.ACCEPTED, 0),
        "given up": (CommandStage.FAILED, 5),
    },
    queue=[(1, "done"), (2, "waiting")],
    failed=["given up"],
    snapshot_version=1,
    pause=PAUSE,
)
AFTER = Held(
    head=3,
    versions=[1, 2],
    followed=[1, 2, 3],
    outbox_lowest=2,
    stages={
        "command": (CommandStage.COMMITTED, 1),
        "new": (CommandStage.ACCEPTED, 1),
        "done": (CommandStage.COMMITTED, 2),
        "waiting": (CommandStage.ACCEPTED, 1),
        "given up": (CommandStage.ACCEPTED, 0),
    },
    queue=[(2, "waiting"), (5, "new"), (6, "given up")],
    failed=[],
    snapshot_version=2,
    pause=None,
)


@pytest.fixture(autouse=True)
def prepared(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        unit.events.append([an_append(a_stream())], now=1)
        unit.outbox.add([1])
        unit.journal.accept(
            [an_accepted("done", STREAM), an_accepted("waiting"), a_failed("given up")]
        )
        unit.snapshots.save([a_snapshot(STREAM)])
        unit.control.set_pause(PAUSE)
        unit.commit()


def run_steps(unit: WriteUnit, count: int) -> None:
    for step in STEPS[:count]:
        step(unit)


def seen(moment: WriteSnapshot) -> Held:
    records = moment.journal.find(["command", "new", "done", "waiting", "given up"])
    return Held(
        head=moment.events.head().position,
        versions=[e.stream_version for e in moment.events.load([STREAM])[STREAM]],
        followed=[
            e.position for e in moment.outbox.read(after_position=0, limit=10).events
        ],
        outbox_lowest=moment.outbox.lowest_position(),
        stages={
            name: (record.stage, record.attempts) for name, record in records.items()
        },
        queue=[
            (queued.accept_sequence, queued.command_id)
            for queued in moment.journal.queued(after_sequence=0, limit=10)
        ],
        failed=[
            failed.stored.record.command_id
            for failed in moment.journal.failed(after=None, limit=10)
        ],
        snapshot_version=moment.snapshots.load([STREAM])[STREAM].stream_version,
        pause=moment.control.pause(),
    )


def what_is_there(reader: WriteStoreReader) -> Held:
    with reader.snapshot() as snapshot:
        return seen(snapshot)


def test_a_commit_shows_everything_at_once(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(write_backend.reader) == AFTER


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_leaving_without_a_commit_leaves_nothing(
    write_backend: WriteBackend, count: int
) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, count)
    assert what_is_there(write_backend.reader) == BEFORE


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
    assert what_is_there(write_backend.reader) == BEFORE


def test_a_unit_works_after_one_that_lost(write_backend: WriteBackend) -> None:
    with pytest.raises(StreamConflict), write_backend.store.begin() as unit:
        unit.events.append([an_append(STREAM, expected_version=7)], now=1)
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(write_backend.reader) == AFTER


def test_a_unit_sees_what_it_has_done(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        assert seen(unit) == AFTER


def test_a_snapshot_does_not_see_what_is_not_committed(
    write_backend: WriteBackend,
) -> None:
    with write_backend.store.begin() as unit:
        run_steps(unit, len(STEPS))
        assert what_is_there(write_backend.reader) == BEFORE


def test_a_snapshot_stays_as_it_was_while_others_commit(
    write_backend: WriteBackend,
) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert seen(snapshot) == BEFORE
        with write_backend.store.begin() as unit:
            run_steps(unit, len(STEPS))
            unit.commit()
        assert seen(snapshot) == BEFORE
    assert what_is_there(write_backend.reader) == AFTER


def test_what_else_a_snapshot_reads_stays_as_it_was_too(
    write_backend: WriteBackend,
) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.journal.failed_count() == 1
        with write_backend.store.begin() as unit:
            run_steps(unit, len(STEPS))
            unit.commit()
        assert snapshot.journal.failed_count() == 1
        assert snapshot.journal.stored(["done", "new"]) == {
            "done": an_accepted("done", STREAM)
        }
        assert snapshot.events.load_tail(STREAM, after_version=0) == []


def test_a_store_keeps_the_id_that_it_was_made_with(
    write_backend: WriteBackend,
) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.head().store_id == STORE_ID
