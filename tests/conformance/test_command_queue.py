"""What every command journal guarantees of commands that are stored to be executed later."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from eventcore.command_journal import (
    CommandJournal,
    CommandRequest,
    QueuedCommand,
    StoredCommand,
)
from eventcore.errors import CommandIdTaken
from eventcore.messages import TERMINAL, CommandRecord, CommandStage, Lane, Trace
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_failed, a_record, an_accepted, failed


def accept(backend: WriteBackend, *commands: StoredCommand) -> list[int]:
    with backend.store.begin() as unit:
        sequences = unit.journal.accept(commands)
        unit.commit()
    return sequences


def update(backend: WriteBackend, *records: CommandRecord) -> None:
    with backend.store.begin() as unit:
        unit.journal.update(records)
        unit.commit()


def queue_of(backend: WriteBackend) -> list[tuple[int, str]]:
    with backend.reader.snapshot() as snapshot:
        return [
            (queued.accept_sequence, queued.command_id)
            for queued in snapshot.journal.queued(after_sequence=0, limit=10_000)
        ]


def records_in(backend: WriteBackend, *ids: str) -> dict[str, CommandRecord]:
    with backend.reader.snapshot() as snapshot:
        return snapshot.journal.find(ids)


def stored_in(backend: WriteBackend, *ids: str) -> dict[str, StoredCommand]:
    with backend.reader.snapshot() as snapshot:
        return snapshot.journal.stored(ids)


def test_an_accepted_command_is_stored_as_it_was_given(
    write_backend: WriteBackend,
) -> None:
    traced = an_accepted("traced")
    traced = StoredCommand(
        record=replace(
            traced.record,
            lane=Lane.CRITICAL,
            trace=Trace(
                correlation_id="flow", causation_id="cause", actor="me", traceparent="1"
            ),
        ),
        request=CommandRequest(payload='{"ü":"\\u0001 😀"}', expected_version=0),
    )
    bare = an_accepted("bare")
    accept(write_backend, traced, bare)
    assert stored_in(write_backend, "bare", "unknown", "traced") == {
        "traced": traced,
        "bare": bare,
    }
    assert records_in(write_backend, "traced", "bare") == {
        "traced": traced.record,
        "bare": bare.record,
    }


def test_a_command_in_the_queue_is_all_that_its_turn_needs(
    write_backend: WriteBackend,
) -> None:
    command = an_accepted("command", expected_version=3)
    record = replace(command.record, lane=Lane.BULK, attempts=2)
    (sequence,) = accept(write_backend, replace(command, record=record))
    with write_backend.reader.snapshot() as snapshot:
        assert snapshot.journal.queued(after_sequence=0, limit=1) == [
            QueuedCommand(
                accept_sequence=sequence,
                command_id="command",
                type=record.type,
                stream=record.stream,
                fingerprint=record.fingerprint,
                lane=Lane.BULK,
                attempts=2,
                accept_time=record.accept_time,
            )
        ]


def test_sequences_grow_in_the_order_given(write_backend: WriteBackend) -> None:
    first = accept(write_backend, an_accepted("b"), an_accepted("a"))
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        second = unit.journal.accept([an_accepted("d")])
        second += unit.journal.accept([an_accepted("c")])
        unit.commit()
    assert sorted({*first, *second}) == first + second
    assert queue_of(write_backend) == list(
        zip(first + second, ["b", "a", "d", "c"], strict=True)
    )


def test_a_unit_that_was_left_has_taken_no_place(write_backend: WriteBackend) -> None:
    (first,) = accept(write_backend, an_accepted("first"))
    with write_backend.store.begin() as unit:
        unit.journal.accept([an_accepted("left")])
    (second,) = accept(write_backend, an_accepted("second"))
    assert first < second
    assert queue_of(write_backend) == [(first, "first"), (second, "second")]


def test_the_queue_is_read_in_pages(write_backend: WriteBackend) -> None:
    names = [f"command-{number}" for number in range(7)]
    accept(write_backend, *(an_accepted(name) for name in names))
    pages: list[list[str]] = []
    after = 0
    with write_backend.reader.snapshot() as snapshot:
        while page := snapshot.journal.queued(after_sequence=after, limit=3):
            pages.append([queued.command_id for queued in page])
            after = page[-1].accept_sequence
    assert pages == [names[:3], names[3:6], names[6:]]


def test_only_what_is_accepted_is_in_the_queue(write_backend: WriteBackend) -> None:
    accept(write_backend, an_accepted("waiting"), a_failed("broken"))
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        unit.commit()
    assert [name for _, name in queue_of(write_backend)] == ["waiting"]
    assert set(stored_in(write_backend, "waiting", "broken", "outcome")) == {
        "waiting",
        "broken",
    }


@pytest.mark.parametrize("held", [an_accepted("same"), a_failed("same")])
def test_the_id_of_a_stored_command_is_taken(
    write_backend: WriteBackend, held: StoredCommand
) -> None:
    accept(write_backend, held)
    with pytest.raises(CommandIdTaken):
        accept(write_backend, an_accepted("other"), an_accepted("same"))
    with pytest.raises(CommandIdTaken), write_backend.store.begin() as unit:
        unit.journal.add([a_record("same")])
    assert stored_in(write_backend, "same", "other") == {"same": held}


def test_the_id_of_an_outcome_is_taken(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("same")])
        unit.commit()
    with pytest.raises(CommandIdTaken):
        accept(write_backend, an_accepted("same"))


def test_an_id_that_is_accepted_twice_at_once_is_taken(
    write_backend: WriteBackend,
) -> None:
    with pytest.raises(CommandIdTaken):
        accept(write_backend, an_accepted("same"), an_accepted("same"))
    assert queue_of(write_backend) == []


def test_an_attempt_counts_for_what_is_accepted_alone(
    write_backend: WriteBackend,
) -> None:
    accept(write_backend, *map(an_accepted, ("a", "b", "c")), a_failed("broken"))
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        unit.journal.begin_attempts(["a", "b", "a", "broken", "outcome", "unknown"])
        unit.journal.begin_attempts(["b"])
        unit.commit()
    records = records_in(write_backend, "a", "b", "c", "broken", "outcome")
    assert {name: record.attempts for name, record in records.items()} == {
        "a": 1,
        "b": 2,
        "c": 0,
        "broken": 5,
        "outcome": 1,
    }
    with write_backend.reader.snapshot() as snapshot:
        queue = snapshot.journal.queued(after_sequence=0, limit=10)
    assert [queued.attempts for queued in queue] == [1, 2, 0]


def test_attempts_of_many_begin_at_once_and_count_once(
    write_backend: WriteBackend,
) -> None:
    names = [f"command-{number}" for number in range(1100)]
    accept(write_backend, *map(an_accepted, names))
    with write_backend.store.begin() as unit:
        unit.journal.begin_attempts([*names, names[0]])
        unit.commit()
    records = records_in(write_backend, *names)
    assert {record.attempts for record in records.values()} == {1}


@pytest.mark.parametrize(
    "stage", [stage for stage in CommandStage if stage in TERMINAL]
)
def test_an_outcome_takes_the_request_away(
    write_backend: WriteBackend, stage: CommandStage
) -> None:
    command = an_accepted("command", expected_version=3)
    accept(write_backend, command, an_accepted("behind"))
    outcome = replace(
        failed(command.record),
        stage=stage,
        lane=Lane.CRITICAL,
        stream_version=4,
        position=7,
        event_count=2,
    )
    update(write_backend, outcome)
    assert records_in(write_backend, "command") == {"command": outcome}
    assert stored_in(write_backend, "command") == {}
    assert [name for _, name in queue_of(write_backend)] == ["behind"]


@pytest.mark.parametrize("stage", [CommandStage.ACCEPTED, CommandStage.FAILED])
def test_what_is_not_terminal_keeps_its_request(
    write_backend: WriteBackend, stage: CommandStage
) -> None:
    command = an_accepted("command", expected_version=3)
    accept(write_backend, command)
    changed = replace(failed(command.record), stage=stage, lane=Lane.BULK)
    update(write_backend, changed)
    assert stored_in(write_backend, "command") == {
        "command": replace(command, record=changed)
    }


def test_a_change_of_stage_changes_nothing_that_was_accepted(
    write_backend: WriteBackend,
) -> None:
    command = an_accepted("command")
    accept(write_backend, command)
    other = replace(
        a_record("command"),
        type="DoOtherThing",
        fingerprint=replace(command.record.fingerprint, digest=b"other"),
        trace=Trace(correlation_id="other"),
        accept_time=99,
    )
    update(write_backend, other)
    found = records_in(write_backend, "command")["command"]
    assert found == replace(
        a_record("command", command.record.stream),
        accept_time=command.record.accept_time,
    )


def test_commands_may_come_to_different_stages_at_once(
    write_backend: WriteBackend,
) -> None:
    names = [f"command-{number}" for number in range(6)]
    commands = [an_accepted(name) for name in names]
    accept(write_backend, *commands)
    outcomes = [
        failed(command.record)
        if number % 2
        else a_record(names[number], command.record.stream)
        for number, command in enumerate(commands)
    ]
    update(write_backend, *outcomes)
    assert list(records_in(write_backend, *names).values()) == outcomes
    assert set(stored_in(write_backend, *names)) == set(names[1::2])


def change_unknown(journal: CommandJournal) -> None:
    journal.update([a_record("waiting"), a_record("unknown")])


def change_terminal(journal: CommandJournal) -> None:
    journal.update([a_record("waiting"), failed(a_record("outcome"))])


def end_twice(journal: CommandJournal) -> None:
    journal.update([a_record("waiting")])
    journal.update([a_record("waiting")])


@pytest.mark.parametrize("change", [change_unknown, change_terminal, end_twice])
def test_an_outcome_that_belongs_to_no_open_command_is_an_error(
    write_backend: WriteBackend, change: Callable[[CommandJournal], None]
) -> None:
    waiting = an_accepted("waiting")
    accept(write_backend, waiting)
    with write_backend.store.begin() as unit:
        unit.journal.add([a_record("outcome")])
        unit.commit()
    with (
        pytest.raises(ValueError, match="not in a stage"),
        write_backend.store.begin() as unit,
    ):
        change(unit.journal)
    assert stored_in(write_backend, "waiting") == {"waiting": waiting}


def test_nothing_is_nothing(write_backend: WriteBackend) -> None:
    with write_backend.store.begin() as unit:
        assert unit.journal.accept([]) == []
        assert unit.journal.requeue([]) == []
        unit.journal.begin_attempts([])
        unit.journal.update([])
        assert unit.journal.stored([]) == {}
        unit.commit()
    assert queue_of(write_backend) == []
