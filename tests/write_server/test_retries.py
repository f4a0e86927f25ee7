"""Commands that break are tried again, those behind them wait, and in the end they are given up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import pytest

from eventcore.errors import CommandIdReused, StoreUnavailable
from eventcore.messages import CommandEnvelope, CommandStage, Lane
from eventcore.sql.write_store import SqlWriteStore
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream
from tests.write_server.outcomes import receipt, records, stages
from tests.write_server.stored import (
    FailingStore,
    Killed,
    log_of,
    records_of,
    requests_of,
)
from tests.write_server.test_batch_faults import BREAKS
from tests.write_server.things import (
    BREAKS_DECISION,
    MENDED,
    TRACE,
    ThingExecutor,
    a_command,
    begun,
    count,
    executor_over,
)
from write_server.jobs import HandlerBroke
from write_server.recovery import recover

Batch: TypeAlias = list[CommandEnvelope | str]

ROOM = 100

STEPS = ["events.append", "outbox.add", "journal.accept", "journal.update", "commit"]


def attempts_of(store: WriteStore, *commands: CommandEnvelope) -> list[int]:
    """As the journal has them."""
    found = records_of(store, *(command.command_id for command in commands))
    return [found[command.command_id].attempts for command in commands]


def waiting(store: WriteStore) -> list[str]:
    return [command.command_id for command in recover(store).commands]


# A fresh command that breaks.


@pytest.mark.parametrize("by", BREAKS)
def test_a_command_that_breaks_is_stored_and_those_of_its_stream_wait_behind_it(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store, retry_room=ROOM)
    stream = begun(executor)
    batch = [
        count(stream, 1),
        count(stream, by),
        count(stream, 2),
        a_command(),
        count(stream, -1),
    ]
    outcomes = executor.execute(batch)
    expected = ["committed", "accepted", "accepted", "committed", "accepted"]
    assert stages(outcomes) == expected
    found = records_of(store, *(command.command_id for command in batch))
    assert {record.command_id: record for record in records(outcomes)} == found
    assert attempts_of(store, *batch) == [1, 1, 0, 1, 0]
    assert waiting(store) == [batch[place].command_id for place in (1, 2, 4)]
    assert requests_of(store, *found).keys() == set(waiting(store))
    assert len(log_of(store)) == 3


def test_it_is_stored_in_the_transaction_of_its_batch(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched, retry_room=ROOM)
    stream = begun(executor)
    watched.work()
    executor.execute([a_command(), count(stream, BREAKS_DECISION), count(stream)])
    assert watched.failure.calls.count("commit") == 1


def test_without_room_it_is_given_up_at_once_and_the_others_go_on(
    store: WriteStore,
) -> None:
    executor = executor_over(store, retry_room=1)
    one, two = begun(executor), begun(executor)
    outcomes = executor.execute(
        [count(one, 13), count(two, 13), count(one), count(two)]
    )
    assert stages(outcomes) == ["accepted", "failed", "accepted", "committed"]


def test_each_lane_has_room_of_its_own(store: WriteStore) -> None:
    executor = executor_over(store)
    executor.retry_room = {Lane.NORMAL: 0, Lane.BULK: 1}
    commands = [
        replace(count(begun(executor), BREAKS_DECISION), lane=lane) for lane in Lane
    ]
    outcomes = executor.execute(commands)
    assert dict(zip(Lane, stages(outcomes), strict=True)) == {
        Lane.CRITICAL: "failed",
        Lane.NORMAL: "failed",
        Lane.BULK: "accepted",
    }


def test_those_that_wait_behind_take_room_too(store: WriteStore) -> None:
    executor = executor_over(store, retry_room=2)
    one, two = begun(executor), begun(executor)
    outcomes = executor.execute(
        [count(one, 13), count(one), count(two, 13), count(two)]
    )
    assert stages(outcomes) == ["accepted", "accepted", "failed", "committed"]


def test_with_one_attempt_nothing_is_tried_again(store: WriteStore) -> None:
    executor = executor_over(store, attempts_max=1, retry_room=ROOM)
    stream = begun(executor)
    outcomes = executor.execute([count(stream, 13), count(stream)])
    assert stages(outcomes) == ["failed", "committed"]


def test_a_repeated_command_behind_one_that_breaks_has_its_outcome(
    store: WriteStore,
) -> None:
    executor = executor_over(store, retry_room=ROOM)
    stream = begun(executor)
    known = count(stream)
    (first,) = executor.execute([known])
    reused = count(stream, 7, command_id=known.command_id)
    for repeated in (known, reused):
        outcomes = executor.execute([count(stream, 13), repeated])
        assert stages(outcomes[:1]) == ["accepted"]
        if repeated is known:
            assert receipt(outcomes[1]).record == receipt(first).record
        else:
            assert isinstance(outcomes[1], CommandIdReused)


def test_a_value_that_no_row_can_hold_leaves_nothing_and_lets_the_others_go_on(
    sqlite: SqlWriteStore,
) -> None:
    executor = executor_over(sqlite, retry_room=ROOM)
    stream = begun(executor)
    poison = replace(count(stream), trace=replace(TRACE, correlation_id="\ud800"))
    outcomes = executor.execute([count(stream), poison, count(stream)])
    assert isinstance(outcomes[1], HandlerBroke)
    assert stages([outcomes[0], outcomes[2]]) == ["committed", "committed"]
    assert waiting(sqlite) == []


# The attempts of a stored command.


def broken(
    executor: ThingExecutor, *, by: int = BREAKS_DECISION
) -> tuple[CommandEnvelope, CommandEnvelope]:
    """A command that broke once, and one behind it; both are stored."""
    stream = begun(executor)
    pair = count(stream, by), count(stream)
    assert stages(executor.execute(pair)) == ["accepted", "accepted"]
    return pair


def ids(commands: Sequence[CommandEnvelope]) -> list[str]:
    return [command.command_id for command in commands]


@pytest.mark.parametrize("by", BREAKS)
def test_it_is_tried_as_often_as_it_may_be_and_then_given_up(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store, attempts_max=3, retry_room=ROOM)
    pair = broken(executor, by=by)
    assert stages(executor.execute(ids(pair))) == ["accepted", "accepted"]
    assert attempts_of(store, *pair) == [2, 0]
    outcomes = executor.execute(ids(pair))
    assert stages(outcomes) == ["failed", "committed"]
    failed, committed = records(outcomes)
    assert records_of(store, *ids(pair)) == dict(
        zip(ids(pair), (failed, committed), strict=True)
    )
    assert (failed.attempts, committed.attempts) == (3, 1)
    assert failed.error is not None
    assert failed.error.facts["attempts"] == "3"
    assert requests_of(store, *ids(pair)).keys() == {pair[0].command_id}


def test_the_answers_before_and_after_it_was_given_up_are_the_same(
    store: WriteStore,
) -> None:
    executor = executor_over(store, attempts_max=2, retry_room=ROOM)
    pair = broken(executor)
    first = executor.execute(ids(pair))
    for outcomes in (executor.execute(pair), executor_over(store).execute(pair)):
        assert records(outcomes) == records(first)
        assert all(receipt(outcome).deduplicated for outcome in outcomes)


def test_one_that_breaks_no_longer_takes_effect_and_then_those_behind_it(
    store: WriteStore,
) -> None:
    executor = executor_over(store, retry_room=ROOM)
    pair = broken(executor)
    with_help: Batch = [count(pair[0].stream, MENDED), *ids(pair)]
    outcomes = executor.execute(with_help)
    assert stages(outcomes) == ["committed", "committed", "committed"]
    assert [r.stream_version for r in records(outcomes)] == [2, 3, 4]
    assert [r.attempts for r in records(outcomes)] == [1, 2, 1]
    assert waiting(store) == []
    assert requests_of(store, *ids(pair)) == {}
    again = executor.execute(pair)
    assert records(again) == records(outcomes[1:])


def test_an_attempt_is_counted_in_a_commit_before_it_runs(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched)
    command = a_command()
    executor.store([command])
    watched.fail_at("events.append", error=Killed)
    with pytest.raises(Killed):
        executor.execute([command.command_id])
    assert attempts_of(store, command) == [1]


def test_one_that_ended_its_process_each_time_is_given_up_without_running(
    store: WriteStore,
) -> None:
    watched = FailingStore(store)
    killer, behind = count(a_stream("thing")), a_command()
    executor_over(watched).store([killer, behind])
    for _ in range(3):
        watched.fail_at("events.load", error=Killed)
        with pytest.raises(Killed):
            executor_over(watched, attempts_max=3).execute([killer.command_id])
    watched.work()
    executor = executor_over(watched, attempts_max=3)
    outcomes = executor.execute(ids([killer, behind]))
    assert stages(outcomes) == ["failed", "committed"]
    assert watched.failure.calls.count("events.load") == 0
    record = receipt(outcomes[0]).record
    assert record.error is not None
    assert record.error.facts == {
        "attempts": "3",
        "cause": "the process ended each time",
    }
    found = records_of(store, killer.command_id)
    assert found == {killer.command_id: record}
    assert requests_of(store, killer.command_id).keys() == {killer.command_id}
    assert records(executor.execute([killer])) == [record]


@pytest.mark.parametrize("step", STEPS[:2])
def test_a_store_that_is_away_costs_no_attempt(store: WriteStore, step: str) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing, attempts_max=2)
    command = a_command()
    executor.store([command])
    for _ in range(5):
        failing.fail_at(step)
        with pytest.raises(StoreUnavailable):
            executor.execute([command.command_id])
    failing.work()
    (outcome,) = executor.execute([command.command_id])
    assert receipt(outcome).record.stage is CommandStage.COMMITTED
    assert receipt(outcome).record.attempts == 1
    assert records_of(store, command.command_id) == {
        command.command_id: receipt(outcome).record
    }


def test_after_a_store_that_was_away_the_next_attempt_is_counted(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing, attempts_max=3, retry_room=ROOM)
    breaking, _ = broken(executor)
    failing.fail_at("events.versions")
    with pytest.raises(StoreUnavailable):
        executor.execute([breaking.command_id])
    failing.work()
    assert stages(executor.execute([breaking.command_id])) == ["accepted"]
    assert attempts_of(store, breaking) == [2]
    assert stages(executor.execute([breaking.command_id])) == ["failed"]


def test_to_wait_behind_one_that_breaks_costs_no_attempt_through_restarts(
    store: WriteStore,
) -> None:
    pair = broken(executor_over(store, attempts_max=10, retry_room=ROOM))
    for _ in range(8):
        executor = executor_over(store, attempts_max=10)
        assert stages(executor.execute(ids(pair))) == ["accepted", "accepted"]
    assert attempts_of(store, *pair) == [9, 0]


def test_one_that_was_settled_meanwhile_has_its_outcome(store: WriteStore) -> None:
    executor, other = executor_over(store), executor_over(store)
    command = a_command()
    executor.store([command])
    (first,) = other.execute([command.command_id])
    (again,) = executor.execute([command.command_id])
    assert receipt(again).record == receipt(first).record
    assert len(log_of(store)) == 1


# A request that cannot be read.


@pytest.mark.parametrize(
    ("type_", "payload"), [("Count", "[1"), ("OfALaterRelease", "{}")]
)
def test_a_request_that_cannot_be_read_breaks_as_a_handler_does(
    store: WriteStore, type_: str, payload: str
) -> None:
    executor = executor_over(store, attempts_max=2)
    stream = begun(executor)
    unreadable, behind = count(stream), count(stream)
    executor.store([unreadable, behind])
    with store.begin() as unit:
        command = unit.journal.stored([unreadable.command_id])[unreadable.command_id]
        spoiled = replace(
            command,
            record=replace(command.record, command_id="spoiled", type=type_),
            request=replace(command.request, payload=payload),
        )
        unit.journal.accept([spoiled])
        unit.commit()
    batch: Batch = ["spoiled", behind.command_id, a_command()]
    assert stages(executor.execute(batch)) == ["accepted", "accepted", "committed"]
    outcomes = executor.execute(batch[:2])
    assert stages(outcomes) == ["failed", "committed"]
    assert requests_of(store, "spoiled")["spoiled"].payload == payload
    assert records_of(store, "spoiled") == {"spoiled": records(outcomes)[0]}
