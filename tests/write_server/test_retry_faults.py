"""Batches on a store that fails: all or nothing, in order, and without the loss of an attempt."""

import pytest

from eventcore.command_gateway import Outcome
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.messages import CommandStage
from eventcore.write_store import WriteStore
from tests.write_server.outcomes import receipt, records, stages
from tests.write_server.stored import (
    FailingStore,
    Killed,
    log_of,
    records_of,
)
from tests.write_server.test_retries import ROOM, STEPS, Batch, broken
from tests.write_server.things import (
    BREAKS_DECISION,
    BREAKS_VIEW,
    ThingExecutor,
    a_command,
    begun,
    count,
    executor_over,
)

# One by one, when the database will not take something.


CALLS = range(1, 45)
"""Each call that a batch of three takes when it is executed one by one, and some more."""


def one_by_one(
    failing: FailingStore, executor: ThingExecutor, commands: Batch, call: int
) -> list[Outcome] | None:
    """The outcomes behind a command that has its batch executed one by one, if the store is away
    for a call; None if none is known.
    """
    breaking = count(begun(executor), BREAKS_VIEW)
    failing.fail_at_call(call, error=StoreUnavailable)
    try:
        return executor.execute([breaking, *commands])
    except StoreUnavailable:
        return None
    finally:
        failing.work()


def test_those_behind_one_that_met_a_store_that_was_away_do_not_pass_it(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream = begun(executor)
    seen = set()
    for call in CALLS:
        batch: Batch = [count(stream, 1), count(stream, 2)]
        outcomes = one_by_one(failing, executor, batch, call)
        if outcomes is not None:
            away = [isinstance(outcome, StoreUnavailable) for outcome in outcomes]
            assert away == sorted(away)
            seen.add(sum(away))
    assert seen == {0, 1, 2, 3}


def test_a_store_that_is_away_one_by_one_costs_no_attempt(store: WriteStore) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream = begun(executor)
    seen = 0
    for call in CALLS:
        command = count(stream)
        executor.store([command])
        outcomes = one_by_one(failing, executor, [command.command_id], call)
        if outcomes is not None and isinstance(outcomes[1], StoreUnavailable):
            seen += 1
            outcomes = executor.execute([a_command(), command.command_id])
            assert receipt(outcomes[1]).record.attempts == 1
    assert seen > 1


# A store that fails.


@pytest.mark.parametrize("step", ["begin", "journal.begin_attempts", *STEPS])
@pytest.mark.parametrize("error", [StoreUnavailable, StoreBroken, Killed])
def test_a_store_that_fails_at_any_step_keeps_all_or_nothing_of_a_batch(
    store: WriteStore, step: str, error: type[BaseException]
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing, attempts_max=2, retry_room=ROOM)
    stored = count(begun(executor), 5)
    failing_again, _ = broken(executor)
    executor.store([stored])
    fresh = count(begun(executor), BREAKS_DECISION)
    log = log_of(store)
    failing.fail_at(step, error=error)
    batch: Batch = [stored.command_id, failing_again.command_id, fresh, a_command()]
    with pytest.raises(error):
        executor.execute(batch)
    assert log_of(store) == log
    assert records_of(store, fresh.command_id) == {}
    found = records_of(store, stored.command_id, failing_again.command_id)
    assert {record.stage for record in found.values()} == {CommandStage.ACCEPTED}
    for stream in (stored.stream, failing_again.stream, fresh.stream):
        cached = executor.cache.get(stream)
        assert cached is None or cached.version == 1
    failing.work()
    outcomes = executor.execute(batch)
    assert stages(outcomes) == ["committed", "failed", "accepted", "committed"]
    assert records(outcomes)[0].stream_version == 2


def test_the_events_of_a_stored_command_come_with_its_outcome(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    command = a_command()
    executor.store([command])
    failing.work()
    executor.execute([command.command_id])
    steps = len(failing.failure.calls)
    for call in range(1, steps + 1):
        for after in (False, True):
            command = a_command()
            executor.store([command])
            before = len(log_of(store))
            failing.fail_at_call(call, error=Killed, after=after)
            with pytest.raises(Killed):
                executor_over(failing).execute([command.command_id])
            failing.work()
            done = len(log_of(store)) - before
            record = records_of(store, command.command_id)[command.command_id]
            assert (record.stage is CommandStage.COMMITTED) == bool(done)
            assert bool(done) == (after and call == steps)
            (outcome,) = executor_over(store).execute([command.command_id])
            assert receipt(outcome).record.stage is CommandStage.COMMITTED
            assert len(log_of(store)) == before + 1
