"""The order of checks: existence, work done before, the expected version, then the rules."""

import pytest

from eventcore.messages import CommandStage
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream
from tests.write_server.outcomes import receipt, refused
from tests.write_server.things import Begin, a_command, begun, count, executor_over


@pytest.mark.parametrize("expected_version", [0, 1, 5])
def test_what_does_not_exist_is_said_before_the_version(
    store: WriteStore, expected_version: int
) -> None:
    command = count(a_stream("thing"), expected_version=expected_version)
    assert refused(executor_over(store).execute([command])[0]) == "NOT_FOUND"


def test_what_exists_already_is_said_before_the_version(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    command = a_command(Begin(), stream, expected_version=7)
    assert refused(executor.execute([command])[0]) == "EXISTS"


@pytest.mark.parametrize("expected_version", [0, 1, 2, 7])
def test_what_was_done_before_needs_no_version(
    store: WriteStore, expected_version: int
) -> None:
    executor = executor_over(store)
    stream = begun(executor, counts=[1])
    (outcome,) = executor.execute([count(stream, 0, expected_version=expected_version)])
    assert receipt(outcome).record.stage is CommandStage.COMMITTED


@pytest.mark.parametrize("by", [1, -1], ids=["allowed", "against a rule"])
def test_another_version_is_said_before_any_rule(store: WriteStore, by: int) -> None:
    executor = executor_over(store)
    stream = begun(executor, counts=[1])
    (outcome,) = executor.execute([count(stream, by, expected_version=1)])
    refusal = receipt(outcome).record.error
    assert refusal is not None
    assert refusal.reason == "VERSION_MISMATCH"
    assert refusal.facts == {"expected_version": "1", "actual_version": "2"}


def test_the_version_that_is_expected_is_that_within_the_batch(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    outcomes = executor.execute(
        [count(stream, expected_version=version) for version in (1, 1, 2, 7)]
    )
    assert receipt(outcomes[0]).record.stream_version == 2
    assert refused(outcomes[1]) == "VERSION_MISMATCH"
    assert receipt(outcomes[2]).record.stream_version == 3
    assert refused(outcomes[3]) == "VERSION_MISMATCH"
