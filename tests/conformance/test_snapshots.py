"""What every store guarantees of snapshots of aggregates."""

from dataclasses import replace

from eventcore.messages import StreamId
from eventcore.snapshots import Snapshot
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_snapshot, a_stream


def save(backend: WriteBackend, *snapshots: Snapshot) -> None:
    with backend.store.begin() as unit:
        unit.snapshots.save(snapshots)
        unit.commit()


def load(backend: WriteBackend, *streams: StreamId) -> dict[StreamId, Snapshot]:
    with backend.reader.snapshot() as moment:
        return moment.snapshots.load(streams)


def test_a_snapshot_is_loaded_as_it_was_saved(write_backend: WriteBackend) -> None:
    snapshot = Snapshot(
        stream=a_stream(),
        stream_version=2**40,
        position=2**53,
        schema_version=3,
        payload=bytes(range(256)),
    )
    save(write_backend, snapshot)
    assert load(write_backend, snapshot.stream) == {snapshot.stream: snapshot}


def test_a_stream_without_one_has_none(write_backend: WriteBackend) -> None:
    save(write_backend, a_snapshot(a_stream()))
    assert load(write_backend, a_stream()) == {}
    assert load(write_backend) == {}


def test_a_snapshot_replaces_the_one_before_it(write_backend: WriteBackend) -> None:
    stream, other = a_stream(), a_stream()
    save(write_backend, a_snapshot(stream), a_snapshot(other))
    newer = a_snapshot(stream, stream_version=5)
    save(write_backend, newer)
    assert load(write_backend, stream, other) == {
        stream: newer,
        other: a_snapshot(other),
    }


def test_what_was_there_is_replaced_whatever_it_was(
    write_backend: WriteBackend,
) -> None:
    stream = a_stream()
    save(write_backend, replace(a_snapshot(stream, stream_version=9), schema_version=7))
    save(write_backend, a_snapshot(stream, stream_version=3))
    assert load(write_backend, stream)[stream] == a_snapshot(stream, stream_version=3)


def test_streams_of_different_categories_have_their_own(
    write_backend: WriteBackend,
) -> None:
    thing = a_stream("thing")
    other = thing._replace(category="other")
    save(write_backend, a_snapshot(thing), a_snapshot(other, stream_version=4))
    assert load(write_backend, thing) == {thing: a_snapshot(thing)}
    assert load(write_backend, other, thing) == {
        thing: a_snapshot(thing),
        other: a_snapshot(other, stream_version=4),
    }


def test_many_are_saved_and_loaded_at_once(write_backend: WriteBackend) -> None:
    streams = [a_stream() for _ in range(1100)]
    save(write_backend, *(a_snapshot(stream) for stream in streams))
    assert load(write_backend, *streams, streams[0]) == {
        stream: a_snapshot(stream) for stream in streams
    }


def test_a_unit_of_work_loads_what_it_has_saved(write_backend: WriteBackend) -> None:
    stream = a_stream()
    save(write_backend, a_snapshot(stream))
    with write_backend.store.begin() as unit:
        unit.snapshots.save([a_snapshot(stream, stream_version=2)])
        assert unit.snapshots.load([stream])[stream].stream_version == 2
    assert load(write_backend, stream)[stream].stream_version == 1


def test_saving_nothing_is_nothing(write_backend: WriteBackend) -> None:
    save(write_backend)
    assert load(write_backend) == {}
