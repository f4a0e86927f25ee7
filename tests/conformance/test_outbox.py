"""What every outbox guarantees."""

import pytest

from eventcore.errors import CorruptLog
from eventcore.outbox import OutboxBatch
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_stream, an_append


def append(backend: WriteBackend, count: int, *, outbox: bool = True) -> None:
    with backend.store.begin() as unit:
        envelopes = unit.events.append([an_append(a_stream(), count=count)], now=1)
        if outbox:
            unit.outbox.add([envelope.position for envelope in envelopes])
        unit.commit()


def prune(backend: WriteBackend, *, up_to_position: int, limit: int = 100) -> int:
    with backend.store.begin() as unit:
        pruned = unit.outbox.prune(up_to_position=up_to_position, limit=limit)
        unit.commit()
    return pruned


def read(
    backend: WriteBackend, *, after_position: int, limit: int = 100
) -> OutboxBatch:
    with backend.reader.snapshot() as snapshot:
        return snapshot.outbox.read(after_position=after_position, limit=limit)


def positions(
    backend: WriteBackend, *, after_position: int, limit: int = 100
) -> list[int]:
    """What is read."""
    batch = read(backend, after_position=after_position, limit=limit)
    return [envelope.position for envelope in batch.events]


def lowest_position(backend: WriteBackend) -> int | None:
    with backend.reader.snapshot() as snapshot:
        return snapshot.outbox.lowest_position()


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
        pytest.raises(CorruptLog, match="position 2 is missing in the outbox"),
    ):
        snapshot.outbox.read(after_position=after_position, limit=10)


def test_a_hole_at_the_end_is_seen(write_backend: WriteBackend) -> None:
    append(write_backend, 1)
    append(write_backend, 1, outbox=False)
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="position 2 is missing in the outbox"),
    ):
        snapshot.outbox.read(after_position=1, limit=10)


def test_what_is_in_it_and_beyond_the_end_of_the_log_is_told(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 2)
    with write_backend.store.begin() as unit:
        unit.outbox.add([3])
        unit.commit()
    with pytest.raises(CorruptLog, match="position 3 is beyond the end of the log, 2"):
        read(write_backend, after_position=0)
    with pytest.raises(CorruptLog, match="position 3 is beyond the end of the log, 2"):
        read(write_backend, after_position=2)
    assert positions(write_backend, after_position=0, limit=2) == [1, 2]


def test_following_from_beyond_the_end_is_another_log(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 1)
    with (
        write_backend.reader.snapshot() as snapshot,
        pytest.raises(CorruptLog, match="beyond the end"),
    ):
        snapshot.outbox.read(after_position=5, limit=10)


def test_it_begins_with_the_first_event_until_it_is_pruned(
    write_backend: WriteBackend,
) -> None:
    assert lowest_position(write_backend) is None
    append(write_backend, 3)
    assert lowest_position(write_backend) == 1
    prune(write_backend, up_to_position=2)
    assert lowest_position(write_backend) == 3
    prune(write_backend, up_to_position=3)
    assert lowest_position(write_backend) is None
    append(write_backend, 1)
    assert lowest_position(write_backend) == 4


def test_the_lowest_positions_are_pruned_up_to_a_number_and_a_position(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 10)
    assert prune(write_backend, up_to_position=7, limit=3) == 3
    assert lowest_position(write_backend) == 4
    assert prune(write_backend, up_to_position=3) == 0
    assert lowest_position(write_backend) == 4
    assert prune(write_backend, up_to_position=7, limit=100) == 4
    assert lowest_position(write_backend) == 8
    assert prune(write_backend, up_to_position=100, limit=0) == 0
    assert prune(write_backend, up_to_position=100) == 3
    assert prune(write_backend, up_to_position=100) == 0


def test_what_was_pruned_is_read_from_the_log(write_backend: WriteBackend) -> None:
    append(write_backend, 6)
    before = read(write_backend, after_position=0)
    prune(write_backend, up_to_position=4)
    assert read(write_backend, after_position=0) == before
    assert positions(write_backend, after_position=0, limit=3) == [1, 2, 3]
    assert positions(write_backend, after_position=2, limit=3) == [3, 4, 5]


def test_it_is_read_where_it_begins_right_behind_a_position(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 6)
    prune(write_backend, up_to_position=4)
    assert positions(write_backend, after_position=3) == [4, 5, 6]
    assert positions(write_backend, after_position=4) == [5, 6]
    assert positions(write_backend, after_position=5) == [6]
    assert positions(write_backend, after_position=6) == []


def test_an_outbox_without_a_position_is_read_past(write_backend: WriteBackend) -> None:
    append(write_backend, 3)
    prune(write_backend, up_to_position=3)
    for after in range(4):
        batch = read(write_backend, after_position=after)
        assert [e.position for e in batch.events] == list(range(after + 1, 4))
        assert batch.head_position == 3


def test_what_follows_a_pruned_outbox_is_followed_by_it_again(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 2)
    prune(write_backend, up_to_position=2)
    append(write_backend, 2)
    assert positions(write_backend, after_position=1) == [2, 3, 4]
    assert positions(write_backend, after_position=2) == [3, 4]


@pytest.mark.parametrize("after_position", [2, 3, 4])
def test_a_hole_behind_what_was_pruned_is_a_hole(
    write_backend: WriteBackend, after_position: int
) -> None:
    append(write_backend, 4)
    append(write_backend, 1, outbox=False)
    append(write_backend, 1)
    prune(write_backend, up_to_position=2)
    with pytest.raises(CorruptLog, match="position 5 is missing in the outbox"):
        read(write_backend, after_position=after_position)


def test_a_pruned_outbox_is_followed_from_beyond_the_end_by_none(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 3)
    for up_to_position in (2, 3):
        prune(write_backend, up_to_position=up_to_position)
        with pytest.raises(CorruptLog, match="position 4 is beyond the end"):
            read(write_backend, after_position=4)


def test_a_unit_of_work_reads_past_what_it_has_pruned(
    write_backend: WriteBackend,
) -> None:
    append(write_backend, 3)
    with write_backend.store.begin() as unit:
        appended = unit.events.append([an_append(a_stream())], now=1)
        unit.outbox.add([envelope.position for envelope in appended])
        assert unit.outbox.prune(up_to_position=4, limit=2) == 2
        assert unit.outbox.prune(up_to_position=4, limit=1) == 1
        assert unit.outbox.lowest_position() == 4
        followed = unit.outbox.read(after_position=0, limit=10).events
        assert [envelope.position for envelope in followed] == [1, 2, 3, 4]
    assert lowest_position(write_backend) == 1
