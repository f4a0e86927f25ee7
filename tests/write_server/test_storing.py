"""Commands that are stored to be executed later: on memory and on SQLite."""

from dataclasses import replace

import pytest

from eventcore.command_journal import CommandRequest
from eventcore.errors import CommandIdReused, StoreBroken, StoreUnavailable
from eventcore.messages import CommandStage
from eventcore.sql.write_store import SqlWriteStore
from eventcore.write_store import WriteStore
from tests.write_server.outcomes import receipt, records, stages
from tests.write_server.stored import (
    FailingStore,
    Killed,
    log_of,
    records_of,
    requests_of,
)
from tests.write_server.things import (
    NOW,
    TRACE,
    a_command,
    begun,
    count,
    executor_over,
)
from write_server.jobs import HandlerBroke
from write_server.recovery import recover

POISON = "\ud800"
"""Half of a character: Python holds it, and no database stores it."""


def test_a_command_is_stored_and_not_executed(store: WriteStore) -> None:
    executor = executor_over(store)
    command = a_command(expected_version=7)
    (outcome,) = executor.store([command])
    record = receipt(outcome).record
    assert (record.stage, record.attempts) == (CommandStage.ACCEPTED, 0)
    assert (record.accept_time, record.complete_time) == (NOW, 0)
    assert not receipt(outcome).deduplicated
    assert records_of(store, command.command_id) == {command.command_id: record}
    assert requests_of(store, command.command_id) == {
        command.command_id: CommandRequest(payload="{}", expected_version=7)
    }
    assert log_of(store) == []


def test_commands_are_stored_in_one_transaction(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor_over(watched).store([a_command() for _ in range(50)])
    assert watched.failure.calls == ["begin", "journal.accept", "commit"]


@pytest.mark.parametrize("by", [1, 0, -1], ids=["events", "nothing", "refusal"])
def test_a_stored_command_comes_to_what_a_fresh_one_comes_to(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store)
    streams = [begun(executor) for _ in range(2)]
    fresh, later = (count(stream, by) for stream in streams)
    executor.store([later])
    (first,) = executor.execute([fresh])
    (second,) = executor.execute([later.command_id])
    record = receipt(second).record
    assert record == replace(
        receipt(first).record,
        command_id=later.command_id,
        stream=later.stream,
        position=record.position,
    )
    assert records_of(store, later.command_id) == {later.command_id: record}
    assert requests_of(store, later.command_id) == {}


@pytest.mark.parametrize("by", [1, 0, -1], ids=["events", "nothing", "refusal"])
def test_the_answer_to_a_stored_command_stays_the_same(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store)
    command = count(begun(executor), by)
    executor.store([command])
    (first,) = executor.execute([command.command_id])
    executor.execute([count(command.stream)])
    for outcome in (executor.execute([command]), executor.store([command])):
        assert receipt(outcome[0]) == replace(
            receipt(first), deduplicated=True, view=None
        )


def test_its_accept_time_is_when_it_was_stored(store: WriteStore) -> None:
    times = iter([NOW, NOW + 1, NOW + 2, NOW + 3])
    executor = executor_over(store, clock=lambda: next(times))
    command = a_command()
    executor.store([command])
    (outcome,) = executor.execute([command.command_id])
    record = receipt(outcome).record
    assert (record.accept_time, record.complete_time) == (NOW, NOW + 1)


def test_the_expected_version_is_stored_with_it(store: WriteStore) -> None:
    executor = executor_over(store)
    command = count(begun(executor), expected_version=7)
    executor.store([command])
    (outcome,) = executor.execute([command.command_id])
    error = receipt(outcome).record.error
    assert error is not None
    assert error.reason == "VERSION_MISMATCH"


def test_fresh_and_stored_commands_share_a_batch_in_their_order(
    store: WriteStore,
) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched)
    stream = begun(executor)
    first, third = count(stream, 1), count(stream, 3)
    executor.store([first, third])
    watched.work()
    outcomes = executor.execute(
        [first.command_id, count(stream, 2), third.command_id, a_command()]
    )
    assert [receipt(outcome).view.total for outcome in outcomes] == [1, 3, 6, 0]
    assert watched.failure.calls.count("commit") == 2


# Ids that are not new.


def test_a_stage_of_any_kind_is_the_answer_to_a_repeated_command(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    accepted, committed, refused = count(stream), count(stream), count(stream, -1)
    failed, discarded = count(stream, 13), count(stream, 13)
    executor.execute([committed, refused, failed, discarded])
    executor.store([accepted])
    with store.begin() as unit:
        found = unit.journal.find([discarded.command_id])[discarded.command_id]
        unit.journal.update([replace(found, stage=CommandStage.DISCARDED)])
        unit.commit()
    known = [accepted, committed, refused, failed, discarded]
    stored = records_of(store, *(command.command_id for command in known))
    expected = ["accepted", "committed", "refused", "failed", "discarded"]
    for outcomes in (executor.execute(known), executor.store(known)):
        assert stages(outcomes) == expected
        assert all(receipt(outcome).deduplicated for outcome in outcomes)
        assert {r.command_id: r for r in records(outcomes)} == stored


def test_an_id_is_not_for_other_content_whatever_its_stage(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    accepted, committed, failed = count(stream), count(stream), count(stream, 13)
    executor.execute([committed, failed])
    executor.store([accepted])
    others = [
        count(stream, 99, command_id=known.command_id)
        for known in (accepted, committed, failed)
    ]
    for outcomes in (executor.execute(others), executor.store(others)):
        assert [type(outcome) for outcome in outcomes] == [CommandIdReused] * 3
    assert len(log_of(store)) == 2


def test_only_what_is_new_is_stored_beside_what_is_not(store: WriteStore) -> None:
    executor = executor_over(store)
    known, used = a_command(), a_command()
    executor.execute([known, used])
    new, other = a_command(), a_command()
    reused = count(used.stream, command_id=used.command_id)
    outcomes = executor.store([new, known, reused, other])
    assert isinstance(outcomes[2], CommandIdReused)
    del outcomes[2]
    assert stages(outcomes) == ["accepted", "committed", "accepted"]
    assert [receipt(o).deduplicated for o in outcomes] == [False, True, False]
    ids = [command.command_id for command in recover(store).commands]
    assert ids == [new.command_id, other.command_id]


# What the database will not take.


def test_a_value_that_the_database_refuses_spoils_only_its_command(
    sqlite: SqlWriteStore,
) -> None:
    executor = executor_over(sqlite)
    before, after = a_command(), a_command()
    poison = replace(a_command(), trace=replace(TRACE, correlation_id=POISON))
    outcomes = executor.store([before, poison, after])
    assert isinstance(outcomes[1], HandlerBroke)
    assert stages([outcomes[0], outcomes[2]]) == ["accepted", "accepted"]
    ids = [command.command_id for command in recover(sqlite).commands]
    assert ids == [before.command_id, after.command_id]


def test_those_behind_one_that_met_a_store_that_was_away_do_not_pass_it(
    sqlite: SqlWriteStore,
) -> None:
    failing = FailingStore(sqlite)
    executor = executor_over(failing)
    poison = replace(a_command(), trace=replace(TRACE, correlation_id=POISON))
    commands = [a_command(), poison, a_command(), a_command()]
    # Together: begin, accept. Then begin, accept and commit; begin, accept; begin.
    failing.fail_at_call(8, error=StoreUnavailable)
    outcomes = executor.store(commands)
    assert stages(outcomes[:1]) == ["accepted"]
    assert isinstance(outcomes[1], HandlerBroke)
    assert [type(outcome) for outcome in outcomes[2:]] == [StoreUnavailable] * 2
    assert len(recover(sqlite).commands) == 1


# A store that fails.


@pytest.mark.parametrize("step", ["begin", "journal.accept", "commit"])
@pytest.mark.parametrize("error", [StoreUnavailable, StoreBroken, Killed])
def test_a_store_that_fails_stores_all_or_nothing(
    store: WriteStore, step: str, error: type[BaseException]
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    commands = [a_command(), a_command()]
    failing.fail_at(step, error=error)
    with pytest.raises(error):
        executor.store(commands)
    assert recover(store).commands == []
    failing.work()
    assert stages(executor.store(commands)) == ["accepted", "accepted"]


def test_what_was_stored_without_an_answer_is_found_by_the_next_try(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    command = a_command()
    failing.fail_at("commit", after=True)
    with pytest.raises(StoreUnavailable):
        executor.store([command])
    failing.work()
    (outcome,) = executor.store([command])
    assert receipt(outcome).deduplicated
    assert len(recover(store).commands) == 1
