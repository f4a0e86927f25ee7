"""What every command journal guarantees of commands that were given up."""

from dataclasses import replace

import pytest

from eventcore.command_journal import FailedCommand, FailedPlace, StoredCommand
from eventcore.messages import CommandStage
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_failed, a_record, an_accepted


def accept(backend: WriteBackend, *commands: StoredCommand) -> list[int]:
    with backend.store.begin() as unit:
        sequences = unit.journal.accept(commands)
        unit.commit()
    return sequences


def requeue(backend: WriteBackend, *command_ids: str) -> list[int]:
    with backend.store.begin() as unit:
        sequences = unit.journal.requeue(command_ids)
        unit.commit()
    return sequences


def failed_in(
    backend: WriteBackend, *, after: FailedPlace | None = None, limit: int = 100
) -> list[FailedCommand]:
    with backend.reader.snapshot() as snapshot:
        return snapshot.journal.failed(after=after, limit=limit)


def names(failed: list[FailedCommand]) -> list[str]:
    return [command.stored.record.command_id for command in failed]


def queue_of(backend: WriteBackend) -> list[tuple[int, str]]:
    with backend.reader.snapshot() as snapshot:
        return [
            (queued.accept_sequence, queued.command_id)
            for queued in snapshot.journal.queued(after_sequence=0, limit=100)
        ]


def test_a_dead_letter_is_kept_whole(write_backend: WriteBackend) -> None:
    command = a_failed("broken", fail_time=2**53)
    (sequence,) = accept(write_backend, command)
    assert failed_in(write_backend) == [
        FailedCommand(
            stored=command,
            place=FailedPlace(fail_time=2**53, accept_sequence=sequence),
        )
    ]


def test_the_newest_is_the_first(write_backend: WriteBackend) -> None:
    times = {"a": 5, "b": 9, "c": 5, "d": 7, "e": 5}
    accept(
        write_backend,
        an_accepted("waiting"),
        *(a_failed(name, fail_time=time) for name, time in times.items()),
    )
    assert names(failed_in(write_backend)) == ["b", "d", "e", "c", "a"]


def test_pages_together_are_the_list(write_backend: WriteBackend) -> None:
    accept(
        write_backend,
        *(a_failed(str(number), fail_time=number // 4) for number in range(11)),
    )
    whole = failed_in(write_backend)
    assert len(whole) == 11
    found: list[FailedCommand] = []
    after = None
    while page := failed_in(write_backend, after=after, limit=3):
        found += page
        after = page[-1].place
    assert found == whole


def test_a_page_goes_on_from_a_place_that_is_no_longer_taken(
    write_backend: WriteBackend,
) -> None:
    accept(write_backend, *(a_failed(name) for name in "abcd"))
    (_, second, *_) = failed_in(write_backend)
    requeue(write_backend, "c")
    assert names(failed_in(write_backend, after=second.place)) == ["b", "a"]


def test_they_are_counted(write_backend: WriteBackend) -> None:
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.journal.failed_count() == 0
    accept(write_backend, a_failed("a"), an_accepted("waiting"), a_failed("b"))
    with write_backend.store.begin() as unit:
        assert unit.journal.failed_count() == 2
        unit.journal.requeue(["a"])
        assert unit.journal.failed_count() == 1
        unit.journal.add([a_record("outcome")])
        unit.journal.accept([a_failed("c"), a_failed("d")])
        assert unit.journal.failed_count() == 3


def test_a_retried_one_is_as_a_new_one_at_the_end_of_the_queue(
    write_backend: WriteBackend,
) -> None:
    broken = a_failed("broken")
    _, waiting = accept(write_backend, broken, an_accepted("waiting"))
    (sequence,) = requeue(write_backend, "broken")
    assert queue_of(write_backend) == [(waiting, "waiting"), (sequence, "broken")]
    assert failed_in(write_backend) == []
    with write_backend.reader.snapshot() as snapshot:
        (stored,) = snapshot.journal.stored(["broken"]).values()
    assert stored == StoredCommand(
        record=replace(
            broken.record,
            stage=CommandStage.ACCEPTED,
            attempts=0,
            complete_time=0,
            error=None,
        ),
        request=broken.request,
    )


def test_retried_ones_stand_in_the_order_given(write_backend: WriteBackend) -> None:
    before = accept(write_backend, *(a_failed(name) for name in "abcd"))
    sequences = requeue(write_backend, "c", "a", "d")
    assert sorted({*before, *sequences}) == before + sequences
    assert queue_of(write_backend) == list(zip(sequences, "cad", strict=True))


def test_a_place_in_the_queue_is_never_given_twice(write_backend: WriteBackend) -> None:
    (first,) = accept(write_backend, a_failed("newest"))
    (second,) = requeue(write_backend, "newest")
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        unit.commit()
    (third,) = accept(write_backend, an_accepted("next"))
    assert first < second < third


@pytest.mark.parametrize("name", ["waiting", "outcome", "unknown"])
def test_only_what_has_failed_is_retried(
    write_backend: WriteBackend, name: str
) -> None:
    accept(write_backend, a_failed("broken"), an_accepted("waiting"))
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        unit.commit()
    queue = queue_of(write_backend)
    with pytest.raises(ValueError, match="not in a stage"):
        requeue(write_backend, "broken", name)
    assert queue_of(write_backend) == queue
    assert names(failed_in(write_backend)) == ["broken"]
