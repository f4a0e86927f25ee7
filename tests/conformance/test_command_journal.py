"""What every command journal guarantees."""

from dataclasses import replace

import pytest

from eventcore.errors import CommandIdTaken
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Kind,
    Lane,
    Trace,
)
from tests.conformance.conftest import WriteBackend
from tests.support.envelopes import a_record


def add(backend: WriteBackend, *records: CommandRecord) -> None:
    with backend.store.begin() as unit:
        unit.journal.add(records)
        unit.commit()


def find(backend: WriteBackend, *command_ids: str) -> dict[str, CommandRecord]:
    with backend.reader.snapshot() as snapshot:
        return snapshot.journal.find(command_ids)


def test_an_outcome_is_found_as_it_was_added(write_backend: WriteBackend) -> None:
    committed = replace(
        a_record("committed"),
        lane=Lane.BULK,
        trace=Trace(
            correlation_id="flow", causation_id="cause", actor="me", traceparent="00-1"
        ),
    )
    refused = replace(
        a_record("refused"),
        stage=CommandStage.REFUSED,
        error=ErrorRecord(
            kind=Kind.PRECONDITION,
            reason="RULE_VIOLATED",
            message="größer als erlaubt",
            rule="OVERPAYMENT",
            facts={"due": "5"},
        ),
    )
    add(write_backend, committed, refused)
    assert find(write_backend, "refused", "committed", "unknown") == {
        "committed": committed,
        "refused": refused,
    }


def test_an_id_is_taken_for_ever(write_backend: WriteBackend) -> None:
    first = a_record("same")
    add(write_backend, first)
    with pytest.raises(CommandIdTaken):
        add(write_backend, a_record("other"), replace(a_record("same"), position=9))
    assert find(write_backend, "same", "other") == {"same": first}


def test_an_id_given_twice_is_taken(write_backend: WriteBackend) -> None:
    with pytest.raises(CommandIdTaken):
        add(write_backend, a_record("same"), a_record("same"))
    assert find(write_backend, "same") == {}


def test_ids_are_told_apart_by_case(write_backend: WriteBackend) -> None:
    add(write_backend, a_record("abc"), a_record("ABC"))
    assert set(find(write_backend, "abc", "ABC", "Abc")) == {"abc", "ABC"}


def test_many_ids_are_found_at_once(write_backend: WriteBackend) -> None:
    command_ids = [f"command-{number}" for number in range(1100)]
    add(write_backend, *(a_record(command_id) for command_id in command_ids))
    assert set(find(write_backend, *command_ids)) == set(command_ids)


def test_adding_nothing_is_nothing(write_backend: WriteBackend) -> None:
    add(write_backend)
    assert find(write_backend) == {}
