"""What every event store guarantees."""

from collections.abc import Sequence

import pytest

from eventcore.errors import CorruptLog, StreamConflict
from eventcore.event_store import StreamAppend
from eventcore.messages import EventEnvelope, Instant
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_new_event, a_stream, an_append


def append(
    backend: WriteBackend, appends: Sequence[StreamAppend], now: Instant = 100
) -> list[EventEnvelope]:
    with backend.store.begin() as unit:
        envelopes = unit.events.append(appends, now=now)
        unit.commit()
    return envelopes


def test_positions_run_from_one_without_a_hole(write_backend: WriteBackend) -> None:
    first = append(write_backend, [an_append(a_stream(), count=2)])
    second = append(write_backend, [an_append(a_stream()), an_append(a_stream())])
    assert [envelope.position for envelope in first + second] == [1, 2, 3, 4]


def test_versions_of_a_stream_run_from_one(write_backend: WriteBackend) -> None:
    stream = a_stream()
    append(write_backend, [an_append(stream, count=2)])
    append(write_backend, [an_append(stream, expected_version=2)])
    with write_backend.reader.snapshot() as snapshot:
        loaded = snapshot.events.load([stream])[stream]
    assert [envelope.stream_version for envelope in loaded] == [1, 2, 3]


def test_a_lost_position_is_given_to_the_next_append(
    write_backend: WriteBackend,
) -> None:
    with write_backend.store.begin() as unit:
        unit.events.append([an_append(a_stream())], now=1)
    assert append(write_backend, [an_append(a_stream())])[0].position == 1


def test_what_was_appended_is_what_is_loaded(write_backend: WriteBackend) -> None:
    stream = a_stream()
    event = a_new_event(payload='{"text":"Größe \\u0001 😀"}')
    (stored,) = append(
        write_backend,
        [StreamAppend(stream=stream, expected_version=0, events=[event])],
    )
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.load([stream]) == {stream: [stored]}
        assert snapshot.events.read_log(after_position=0, limit=1) == [stored]
    assert stored.event_id == event.event_id
    assert stored.payload == event.payload
    assert stored.trace == event.trace
    assert (stored.type, stored.schema_version) == (event.type, 1)


@pytest.mark.parametrize("expected_version", [0, 1, 3, 9])
def test_an_append_that_expects_another_version_loses(
    write_backend: WriteBackend, expected_version: int
) -> None:
    stream = a_stream()
    append(write_backend, [an_append(stream, count=2)])
    with pytest.raises(StreamConflict):
        append(
            write_backend,
            [
                an_append(a_stream()),
                an_append(stream, expected_version=expected_version),
            ],
        )
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.head().position == 2


def test_a_stream_may_be_appended_to_twice_in_one_call(
    write_backend: WriteBackend,
) -> None:
    stream = a_stream()
    append(
        write_backend,
        [
            an_append(stream),
            an_append(a_stream()),
            an_append(stream, expected_version=1),
        ],
    )
    with write_backend.reader.snapshot() as snapshot:
        loaded = snapshot.events.load([stream])[stream]
    assert [(e.stream_version, e.position) for e in loaded] == [(1, 1), (2, 3)]


def test_record_time_never_falls(write_backend: WriteBackend) -> None:
    times = [
        append(write_backend, [an_append(a_stream())], now=now)[0].record_time
        for now in (50, 40, 60)
    ]
    assert times == [50, 50, 60]


def test_an_append_of_nothing_changes_nothing(write_backend: WriteBackend) -> None:
    assert append(write_backend, []) == []
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.head().position == 0


def test_streams_of_different_categories_are_different(
    write_backend: WriteBackend,
) -> None:
    thing = a_stream("thing")
    other = thing._replace(category="other")
    append(write_backend, [an_append(thing, count=2), an_append(other)])
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.versions([thing, other]) == {thing: 2, other: 1}
        loaded = snapshot.events.load([other, thing])
    assert [len(loaded[thing]), len(loaded[other])] == [2, 1]


def test_many_streams_are_loaded_at_once(write_backend: WriteBackend) -> None:
    streams = [a_stream() for _ in range(1100)]
    append(write_backend, [an_append(stream) for stream in streams])
    with write_backend.reader.snapshot() as snapshot:
        loaded = snapshot.events.load(streams)
        versions = snapshot.events.versions(streams)
    assert all(len(loaded[stream]) == 1 for stream in streams)
    assert set(versions.values()) == {1}


def test_an_unknown_stream_has_no_events_and_no_version(
    write_backend: WriteBackend,
) -> None:
    stream = a_stream()
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.events.load([stream]) == {stream: []}
        assert snapshot.events.versions([stream]) == {stream: 0}


def test_a_stream_can_be_loaded_as_of_a_version(write_backend: WriteBackend) -> None:
    stream = a_stream()
    append(write_backend, [an_append(stream, count=5)])
    with write_backend.reader.snapshot() as snapshot:
        loaded = snapshot.events.load([stream], up_to_version=3)[stream]
    assert [envelope.stream_version for envelope in loaded] == [1, 2, 3]


def test_the_log_is_read_in_pages(write_backend: WriteBackend) -> None:
    append(write_backend, [an_append(a_stream(), count=5)])
    with write_backend.reader.snapshot() as snapshot:
        pages = [
            [e.position for e in snapshot.events.read_log(after_position=p, limit=2)]
            for p in (0, 2, 4, 5)
        ]
    assert pages == [[1, 2], [3, 4], [5], []]


def test_reading_beyond_the_end_of_the_log_is_another_log(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, [an_append(a_stream())])
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="beyond the end"),
    ):
        snapshot.events.read_log(after_position=2, limit=1)


def test_the_head_is_the_newest_event(write_backend: WriteBackend) -> None:
    append(write_backend, [an_append(a_stream(), count=3)], now=77)
    with write_backend.reader.snapshot() as snapshot:
        head = snapshot.events.head()
    assert (head.position, head.record_time) == (3, 77)


@pytest.mark.parametrize(
    ("after_version", "up_to_version", "versions"),
    [
        (0, None, [1, 2, 3, 4]),
        (2, None, [3, 4]),
        (4, None, []),
        (9, None, []),
        (1, 3, [2, 3]),
        (3, 3, []),
        (3, 2, []),
        (2, 9, [3, 4]),
    ],
)
def test_the_tail_of_a_stream_is_what_lies_behind_a_version(
    write_backend: WriteBackend,
    after_version: int,
    up_to_version: int | None,
    versions: list[int],
) -> None:
    stream = a_stream()
    append(write_backend, [an_append(stream, count=4), an_append(a_stream(), count=9)])
    with write_backend.reader.snapshot() as snapshot:
        whole = snapshot.events.load([stream])[stream]
        tail = snapshot.events.load_tail(
            stream, after_version=after_version, up_to_version=up_to_version
        )
    assert tail == [event for event in whole if event.stream_version in versions]
    assert [event.stream_version for event in tail] == versions


def test_the_tail_of_a_stream_has_what_the_unit_of_work_has_appended(
    write_backend: WriteBackend,
) -> None:
    stream = a_stream()
    append(write_backend, [an_append(stream, count=2)])
    with write_backend.store.begin() as unit:
        appended = unit.events.append([an_append(stream, expected_version=2)], now=1)
        assert unit.events.load_tail(stream, after_version=2) == appended
