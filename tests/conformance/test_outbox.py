"""What every outbox guarantees."""

import pytest

from eventcore.errors import CorruptLog
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_stream, an_append


def append(backend: WriteBackend, count: int, *, outbox: bool = True) -> None:
    with backend.store.begin() as unit:
        envelopes = unit.events.append([an_append(a_stream(), count=count)], now=1)
        if outbox:
            unit.outbox.add([envelope.position for envelope in envelopes])
        unit.commit()


def test_it_is_followed_in_order_and_in_batches(write_backend: WriteBackend) -> None:
    append(write_backend, 3)
    append(write_backend, 2)
    with write_backend.reader.snapshot() as snapshot:
        batches = [
            snapshot.outbox.read(after_position=position, limit=2)
            for position in (0, 2, 4, 5)
        ]
    assert [[e.position for e in batch.events] for batch in batches] == [
        [1, 2],
        [3, 4],
        [5],
        [],
    ]
    assert {batch.head_position for batch in batches} == {5}


def test_it_hands_out_the_events_as_the_log_holds_them(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 3)
    with write_backend.reader.snapshot() as snapshot:
        followed = snapshot.outbox.read(after_position=0, limit=10).events
        assert followed == snapshot.events.read_log(after_position=0, limit=10)


def test_an_empty_log_has_nothing_to_follow(write_backend: WriteBackend) -> None:
    with write_backend.reader.snapshot() as snapshot:
        batch = snapshot.outbox.read(after_position=0, limit=10)
    assert (batch.events, batch.head_position) == ([], 0)


@pytest.mark.parametrize("after_position", [0, 1])
def test_an_event_that_is_not_in_it_is_a_hole(
    write_backend: WriteBackend, after_position: int
) -> None:
    append(write_backend, 1)
    append(write_backend, 1, outbox=False)
    append(write_backend, 1)
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="position 2 is missing"),
    ):
        snapshot.outbox.read(after_position=after_position, limit=10)


def test_a_hole_at_the_end_is_seen(write_backend: WriteBackend) -> None:
    append(write_backend, 1)
    append(write_backend, 1, outbox=False)
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="position 2 is missing"),
    ):
        snapshot.outbox.read(after_position=1, limit=10)


def test_following_from_beyond_the_end_is_another_log(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 1)
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="beyond the end"),
    ):
        snapshot.outbox.read(after_position=5, limit=10)
