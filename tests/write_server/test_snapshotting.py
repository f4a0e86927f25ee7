"""Snapshots come after the commit, in a transaction of their own, and nothing hangs on them."""

from dataclasses import replace

import pytest

from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.messages import StreamId
from eventcore.snapshots import Snapshot
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream
from tests.write_server.outcomes import receipt
from tests.write_server.stored import FailingStore, Killed, log_of
from tests.write_server.things import (
    BREAKS_SNAPSHOT,
    NOW,
    ThingExecutor,
    ThingSnapshots,
    View,
    a_command,
    begun,
    count,
    executor_over,
    handlers_with,
)
from write_server import snapshotting

EVERY = 5


def executor_with_snapshots(
    store: WriteStore, *, schema_version: int = 1, every_events: int = EVERY
) -> ThingExecutor:
    return executor_over(
        store,
        every_events=every_events,
        handlers=handlers_with(ThingSnapshots(schema_version)),
    )


def snapshot_of(store: WriteStore, stream: StreamId) -> Snapshot | None:
    with store.begin() as unit:
        return unit.snapshots.load([stream]).get(stream)


def version_of(store: WriteStore, stream: StreamId) -> int | None:
    """Of the stream, as of its snapshot."""
    snapshot = snapshot_of(store, stream)
    return None if snapshot is None else snapshot.stream_version


def grow(executor: ThingExecutor, stream: StreamId, events: int = 1) -> None:
    executor.execute([count(stream, times=events)])


def test_a_stream_gets_a_snapshot_each_time_it_has_grown_by_so_much(
    store: WriteStore,
) -> None:
    executor = executor_with_snapshots(store)
    stream = begun(executor)
    versions = []
    for _ in range(12):
        grow(executor, stream)
        if executor.execution.snapshots_are_due:
            executor.execution.write_snapshots()
        versions.append(version_of(store, stream))
    assert versions == [None] * 3 + [5] * 5 + [10] * 4


def test_it_is_the_aggregate_as_of_its_version(store: WriteStore) -> None:
    executor = executor_with_snapshots(store)
    begun(executor)
    stream = begun(executor)
    (outcome,) = executor.execute([count(stream, 3, times=4)])
    executor.execution.write_snapshots()
    snapshot = snapshot_of(store, stream)
    assert snapshot is not None
    assert (snapshot.stream_version, snapshot.position) == (5, 6)
    assert snapshot.schema_version == 1
    state, view = ThingSnapshots().decode(snapshot.payload)
    assert state == 12
    assert view == receipt(outcome).view
    assert view == View(total=12, version=5, position=6, record_time=NOW)


def test_a_batch_writes_none_in_its_own_transaction(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_with_snapshots(watched)
    stream = begun(executor)
    grow(executor, stream, 10)
    assert "snapshots.save" not in watched.failure.calls
    watched.work()
    executor.execution.write_snapshots()
    assert watched.failure.calls == ["begin", "snapshots.save", "commit"]
    assert not executor.execution.snapshots_are_due


def test_a_snapshot_is_of_the_newest_that_was_committed(store: WriteStore) -> None:
    executor = executor_with_snapshots(store)
    stream = begun(executor)
    grow(executor, stream, 4)
    grow(executor, stream, 1)
    executor.execution.write_snapshots()
    assert version_of(store, stream) == 6


@pytest.mark.parametrize("fault", [StoreUnavailable, Killed])
def test_what_was_not_committed_is_in_no_snapshot(
    store: WriteStore, fault: type[BaseException]
) -> None:
    failing = FailingStore(store)
    executor = executor_with_snapshots(failing)
    stream = begun(executor)
    grow(executor, stream, 4)
    failing.fail_at("commit", error=fault)
    with pytest.raises(fault):
        grow(executor, stream, 4)
    failing.work()
    executor.execution.write_snapshots()
    assert version_of(store, stream) == 5


def test_never_is_a_choice(store: WriteStore) -> None:
    executor = executor_with_snapshots(store, every_events=0)
    grow(executor, begun(executor), 50)
    assert not executor.execution.snapshots_are_due


def test_what_is_kept_in_no_snapshots_is_never_due(store: WriteStore) -> None:
    executor = executor_over(store, every_events=EVERY)
    grow(executor, begun(executor), 50)
    assert not executor.execution.snapshots_are_due


def test_a_refusal_makes_no_stream_longer(store: WriteStore) -> None:
    executor = executor_with_snapshots(store)
    stream = begun(executor)
    executor.execute([count(stream, -1) for _ in range(10)])
    assert not executor.execution.snapshots_are_due


def test_one_transaction_holds_few_and_the_others_come_next(
    store: WriteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshotting, "SNAPSHOTS_PER_COMMIT_MAX", 2)
    executor = executor_with_snapshots(store)
    streams = [begun(executor) for _ in range(5)]
    executor.execute([count(stream, times=4) for stream in streams])
    written = []
    while executor.execution.snapshots_are_due:
        executor.execution.write_snapshots()
        written.append(sum(version_of(store, stream) == 5 for stream in streams))
    assert written == [2, 4, 5]


def test_no_more_wait_than_there_is_room_for(
    store: WriteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshotting, "DUE_MAX", 1)
    executor = executor_with_snapshots(store)
    streams = [begun(executor) for _ in range(2)]
    executor.execute([count(stream, times=4) for stream in streams])
    executor.execution.write_snapshots()
    left = [stream for stream in streams if version_of(store, stream) is None]
    assert len(left) == 1
    grow(executor, left[0])
    executor.execution.write_snapshots()
    assert version_of(store, left[0]) == 6


def test_a_snapshot_of_another_schema_version_is_replaced_by_the_next_event(
    store: WriteStore,
) -> None:
    old = executor_with_snapshots(store)
    stream = begun(old)
    grow(old, stream, 4)
    old.execution.write_snapshots()
    executor = executor_with_snapshots(store, schema_version=2)
    grow(executor, stream)
    executor.execution.write_snapshots()
    snapshot = snapshot_of(store, stream)
    assert snapshot is not None
    assert (snapshot.schema_version, snapshot.stream_version) == (2, 6)


def test_a_snapshot_that_cannot_be_read_is_replaced_by_the_next_event(
    store: WriteStore,
) -> None:
    old = executor_with_snapshots(store)
    stream = begun(old)
    grow(old, stream, 4)
    old.execution.write_snapshots()
    snapshot = snapshot_of(store, stream)
    assert snapshot is not None
    with store.begin() as unit:
        unit.snapshots.save([replace(snapshot, payload=b"[nothing")])
        unit.commit()
    executor = executor_with_snapshots(store)
    (outcome,) = executor.execute([count(stream)])
    assert receipt(outcome).view.total == 5
    executor.execution.write_snapshots()
    assert version_of(store, stream) == 6


def test_an_aggregate_that_cannot_be_encoded_keeps_no_other_from_its_snapshot(
    store: WriteStore,
) -> None:
    executor = executor_with_snapshots(store)
    odd, other = begun(executor), begun(executor)
    executor.execute([count(odd, 1, times=3), count(odd, BREAKS_SNAPSHOT - 3)])
    executor.execute([count(other, times=4)])
    executor.execution.write_snapshots()
    assert [version_of(store, stream) for stream in (odd, other)] == [None, 5]
    grow(executor, odd)
    executor.execution.write_snapshots()
    assert version_of(store, odd) == 6


@pytest.mark.parametrize("step", ["begin", "snapshots.save", "commit"])
@pytest.mark.parametrize("error", [StoreUnavailable, ZeroDivisionError])
def test_a_store_without_room_for_snapshots_loses_nothing(
    store: WriteStore, step: str, error: type[Exception]
) -> None:
    failing = FailingStore(store)
    executor = executor_with_snapshots(failing)
    stream = begun(executor)
    grow(executor, stream, 4)
    failing.fail_at(step, error=error)
    executor.execution.write_snapshots()
    assert version_of(store, stream) is None
    failing.work()
    grow(executor, stream)
    executor.execution.write_snapshots()
    assert version_of(store, stream) == 6
    assert len(log_of(store)) == 6


@pytest.mark.parametrize("step", ["begin", "snapshots.save", "commit"])
@pytest.mark.parametrize("error", [StoreBroken, Killed])
def test_a_store_that_breaks_is_told(
    store: WriteStore, step: str, error: type[BaseException]
) -> None:
    failing = FailingStore(store)
    executor = executor_with_snapshots(failing)
    grow(executor, begun(executor), 4)
    failing.fail_at(step, error=error)
    with pytest.raises(error):
        executor.execution.write_snapshots()
    assert len(log_of(store)) == 5


def test_a_stream_that_is_loaded_from_its_snapshot_is_not_due_at_once(
    store: WriteStore,
) -> None:
    old = executor_with_snapshots(store)
    stream = begun(old)
    grow(old, stream, 4)
    old.execution.write_snapshots()
    executor = executor_with_snapshots(store)
    grow(executor, stream)
    assert not executor.execution.snapshots_are_due


def test_a_stream_that_grew_long_without_snapshots_gets_one_when_it_is_used(
    store: WriteStore,
) -> None:
    stream = a_stream("thing")
    old = executor_over(store)
    old.execute([a_command(stream=stream), count(stream, times=20)])
    executor = executor_with_snapshots(store)
    executor.execute([count(stream, 0)])
    executor.execution.write_snapshots()
    assert version_of(store, stream) == 21
