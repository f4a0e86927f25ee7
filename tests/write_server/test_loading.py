"""An aggregate that is loaded from a snapshot is the one that all its events make."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.aggregate import Aggregate
from eventcore.errors import StoreUnavailable, UnknownEvent
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import NewEvent, StreamId
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_new_event, a_stream
from tests.write_server.conftest import STORE_ID
from tests.write_server.stored import FailingStore
from tests.write_server.test_batch_faults import append_behind_its_back
from tests.write_server.things import (
    BREAKS_FOLD,
    THING,
    Command,
    Counted,
    Event,
    ThingExecutor,
    ThingSnapshots,
    View,
    a_command,
    begun,
    count,
    executor_over,
    handlers_with,
)
from write_server.aggregates import Loaded
from write_server.jobs import HandlerBroke
from write_server.loading import load_all, load_as_of

SNAPSHOTS = ThingSnapshots()
ThingAggregate: TypeAlias = Aggregate[Command, int | None, Event, View]
WITH_SNAPSHOTS: ThingAggregate = replace(THING, snapshots=SNAPSHOTS)
EVERY = 5


def executor_with_snapshots(store: WriteStore, every_events: int) -> ThingExecutor:
    return executor_over(
        store, every_events=every_events, handlers=handlers_with(SNAPSHOTS)
    )


def a_long_stream(store: WriteStore, *, tail: int = 2) -> StreamId:
    """A stream with a snapshot as of version 11, and some events behind it."""
    executor = executor_with_snapshots(store, EVERY)
    begun(executor)
    stream = begun(executor)
    executor.execute([count(stream, 3, times=10)])
    executor.execution.write_snapshots()
    if tail:
        executor.execute([count(stream, 1, times=tail)])
    return stream


def load(
    store: WriteStore,
    stream: StreamId,
    aggregate: ThingAggregate = WITH_SNAPSHOTS,
) -> Loaded:
    with store.begin() as unit:
        loaded = load_all(unit, {stream: aggregate})[stream]
    assert isinstance(loaded, Loaded)
    return loaded


def essence(loaded: Loaded) -> object:
    return (loaded.state, loaded.version, loaded.view, loaded.position)


def test_only_the_tail_behind_a_snapshot_is_read(store: WriteStore) -> None:
    stream = a_long_stream(store)
    watched = FailingStore(store)
    loaded = load(watched, stream)
    assert watched.failure.calls == ["begin", "snapshots.load", "events.load_tail"]
    assert essence(loaded) == essence(load(store, stream, THING))
    assert (loaded.version, loaded.snapshot_version) == (13, 11)


def test_a_snapshot_without_a_tail_is_enough(store: WriteStore) -> None:
    stream = a_long_stream(store, tail=0)
    assert essence(load(store, stream)) == essence(load(store, stream, THING))


def test_nothing_is_read_for_nothing(store: WriteStore) -> None:
    with FailingStore(store).begin() as unit:
        assert load_all(unit, {}) == {}


def test_what_is_kept_in_no_snapshots_is_not_looked_for_there(
    store: WriteStore,
) -> None:
    watched = FailingStore(store)
    load(watched, a_long_stream(store), THING)
    assert watched.failure.calls == ["begin", "events.load"]


@pytest.mark.parametrize("payload", [b"", b"[nothing", b"[1,2]", b"null"])
def test_a_snapshot_that_cannot_be_read_is_as_none(
    store: WriteStore, payload: bytes
) -> None:
    stream = a_long_stream(store)
    with store.begin() as unit:
        snapshot = unit.snapshots.load([stream])[stream]
        unit.snapshots.save([replace(snapshot, payload=payload)])
        unit.commit()
    loaded = load(store, stream)
    assert essence(loaded) == essence(load(store, stream, THING))
    assert loaded.snapshot_version == 0
    with store.begin() as unit:
        as_of = load_as_of(unit, stream, WITH_SNAPSHOTS)
    assert essence(as_of) == essence(loaded)


def test_a_snapshot_of_another_schema_version_is_as_none(store: WriteStore) -> None:
    stream = a_long_stream(store)
    with store.begin() as unit:
        snapshot = unit.snapshots.load([stream])[stream]
        _, view = SNAPSHOTS.decode(snapshot.payload)
        lie = SNAPSHOTS.encode(99, view)
        unit.snapshots.save([replace(snapshot, schema_version=2, payload=lie)])
        unit.commit()
    loaded = load(store, stream)
    assert essence(loaded) == essence(load(store, stream, THING))
    assert loaded.snapshot_version == 0


def test_streams_with_and_without_snapshots_are_loaded_together(
    store: WriteStore,
) -> None:
    executor = executor_with_snapshots(store, 0)
    streams = [a_long_stream(store), begun(executor), a_long_stream(store)]
    absent = a_stream("thing")
    with store.begin() as unit:
        loaded = load_all(unit, dict.fromkeys([*streams, absent], WITH_SNAPSHOTS))
    assert loaded.keys() == {*streams, absent}
    for stream, found in loaded.items():
        assert isinstance(found, Loaded)
        assert essence(found) == essence(load(store, stream, THING))


@pytest.mark.parametrize(
    "event", [a_new_event(type="OfALaterRelease"), Counted(by=BREAKS_FOLD)]
)
def test_a_tail_that_cannot_be_read_spoils_only_its_stream(
    store: WriteStore, event: Counted | NewEvent
) -> None:
    stream, fine = a_long_stream(store), a_long_stream(store)
    append_behind_its_back(store, stream, event, version=13)
    with store.begin() as unit:
        loaded = load_all(unit, dict.fromkeys([stream, fine], WITH_SNAPSHOTS))
    assert isinstance(loaded[stream], HandlerBroke)
    assert isinstance(loaded[fine], Loaded)


@pytest.mark.parametrize("step", ["snapshots.load", "events.load", "events.load_tail"])
def test_a_store_that_does_not_answer_is_told(store: WriteStore, step: str) -> None:
    stream = a_long_stream(store)
    failing = FailingStore(store)
    failing.fail_at(step)
    with pytest.raises(StoreUnavailable), failing.begin() as unit:
        load_all(unit, dict.fromkeys([stream, a_stream("thing")], WITH_SNAPSHOTS))


# As of a version.


@pytest.mark.parametrize("version", [*range(1, 14), None])
def test_an_aggregate_as_of_a_version_is_that_of_its_first_events(
    store: WriteStore, version: int | None
) -> None:
    stream = a_long_stream(store)
    with store.begin() as unit:
        loaded = load_as_of(unit, stream, WITH_SNAPSHOTS, version)
        plain = load_as_of(unit, stream, THING, version)
    assert essence(loaded) == essence(plain)
    assert loaded.version == (version or 13)


@pytest.mark.parametrize(("version", "after"), [(10, 0), (11, 11), (12, 11)])
def test_a_snapshot_is_used_from_its_version_on(
    store: WriteStore, version: int, after: int
) -> None:
    stream = a_long_stream(store)
    with store.begin() as unit:
        loaded = load_as_of(unit, stream, WITH_SNAPSHOTS, version)
    assert loaded.snapshot_version == after


def test_an_event_of_a_later_release_stops_its_reader(store: WriteStore) -> None:
    stream = a_long_stream(store)
    odd = a_new_event(type="OfALaterRelease")
    append_behind_its_back(store, stream, odd, version=13)
    with store.begin() as unit, pytest.raises(UnknownEvent):
        load_as_of(unit, stream, WITH_SNAPSHOTS)
    with store.begin() as unit:
        assert load_as_of(unit, stream, WITH_SNAPSHOTS, 13).version == 13


def test_a_view_in_a_snapshot_is_exact(store: WriteStore) -> None:
    loaded = load(store, a_long_stream(store))
    assert SNAPSHOTS.decode(SNAPSHOTS.encode(loaded.state, loaded.view)) == (
        loaded.state,
        loaded.view,
    )


# The law.

CUTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 4), st.booleans()), max_size=20
)


@settings(deadline=None, max_examples=100)
@given(cuts=CUTS, every_events=st.integers(1, 7), version=st.integers(1, 30))
def test_with_and_without_snapshots_an_aggregate_is_the_same(
    cuts: Sequence[tuple[int, int, bool]], every_events: int, version: int
) -> None:
    store = MemoryWriteStore(store_id=STORE_ID)
    executor = executor_with_snapshots(store, every_events)
    streams = [a_stream("thing") for _ in range(3)]
    executor.execute([a_command(stream=stream) for stream in streams])
    for number, times, written in cuts:
        executor.execute([count(streams[number], times=times)])
        if written:
            executor.execution.write_snapshots()
    for stream in streams:
        loaded = load(store, stream)
        assert essence(loaded) == essence(load(store, stream, THING))
        cached = executor.cache.get(stream)
        assert cached is not None
        assert essence(cached) == essence(loaded)
        with store.begin() as unit:
            as_of = load_as_of(unit, stream, WITH_SNAPSHOTS, version)
            plain = load_as_of(unit, stream, THING, version)
        assert essence(as_of) == essence(plain)
