"""Batches when something is wrong: with a handler, a stream, a value, the cache or the store."""

from dataclasses import replace

import pytest

from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import CommandIdReused, StoreBroken, StoreUnavailable
from eventcore.event_store import StreamAppend
from eventcore.messages import CommandStage, ErrorRecord, Kind, NewEvent, StreamId
from eventcore.sql.write_store import SqlWriteStore
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_new_event, a_stream, an_id
from tests.write_server.outcomes import gave_up, receipt, records, refused, stages
from tests.write_server.stored import FailingStore, log_of, records_of, requests_of
from tests.write_server.things import (
    BREAKS_CODEC,
    BREAKS_DECISION,
    BREAKS_FOLD,
    BREAKS_VIEW,
    HANDLERS,
    MENDED,
    NOW,
    TRACE,
    Begun,
    Counted,
    Event,
    ThingExecutor,
    a_command,
    begun,
    codec,
    count,
    executor_over,
)
from write_server.jobs import HandlerBroke

BREAKS = [BREAKS_DECISION, BREAKS_CODEC, BREAKS_FOLD, BREAKS_VIEW]

STEPS = ["begin", "events.append", "outbox.add", "journal.add", "commit"]
"""What a batch of new commands does to the store, in this order."""


def append_behind_its_back(
    store: WriteStore, stream: StreamId, *events: Event | NewEvent, version: int
) -> None:
    """Appends as another server would."""
    new_events = []
    for event in events:
        if isinstance(event, NewEvent):
            new_events.append(event)
            continue
        event_type, schema_version, payload = codec.encode(event)
        new_events.append(
            NewEvent(
                event_id=an_id(),
                type=event_type,
                schema_version=schema_version,
                payload=payload,
                trace=TRACE,
            )
        )
    with store.begin() as unit:
        appended = unit.events.append(
            [StreamAppend(stream=stream, expected_version=version, events=new_events)],
            now=NOW,
        )
        unit.outbox.add([envelope.position for envelope in appended])
        unit.commit()


def is_not_stored(outcome: Outcome) -> bool:
    return isinstance(outcome, HandlerBroke)


def cause_of(by: int) -> str:
    return "KeyError" if by == BREAKS_CODEC else "ZeroDivisionError"


# One command that breaks.


@pytest.mark.parametrize("by", BREAKS)
def test_a_command_whose_handler_breaks_spoils_only_itself(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    breaking = count(stream, by)
    outcomes = executor.execute(
        [count(stream, 1), breaking, count(stream, 2), a_command(), count(stream, -1)]
    )
    assert stages(outcomes) == [
        "committed",
        "failed",
        "committed",
        "committed",
        "refused",
    ]
    assert receipt(outcomes[2]).view.total == 3
    assert receipt(outcomes[2]).record.stream_version == 3
    assert refused(outcomes[4]) == "NEGATIVE"
    failed = receipt(outcomes[1]).record
    assert records_of(store, breaking.command_id) == {breaking.command_id: failed}
    assert len(log_of(store)) == 4


@pytest.mark.parametrize("by", BREAKS)
def test_a_command_that_is_given_up_is_a_dead_letter_with_its_request(
    store: WriteStore, by: int
) -> None:
    executor = executor_over(store)
    breaking = count(begun(executor), by, expected_version=1)
    (outcome,) = executor.execute([breaking])
    record = receipt(outcome).record
    assert (record.attempts, record.accept_time, record.complete_time) == (1, NOW, NOW)
    assert record.error == ErrorRecord(
        kind=Kind.FAULT,
        reason="COMMAND_FAILED",
        message="the command failed by a fault of the server and is kept for an operator: "
        "repeat it later with the same command_id, or ask an operator",
        facts={"attempts": "1", "cause": cause_of(by)},
    )
    request = requests_of(store, breaking.command_id)[breaking.command_id]
    assert HANDLERS.command_of("Count", request.payload) == breaking.command
    assert request.expected_version == 1


def test_the_answer_to_a_command_that_was_given_up_stays_the_same(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    breaking = count(stream, BREAKS_DECISION)
    (first,) = executor.execute([breaking])
    executor.execute([count(stream, MENDED)])
    (again,) = executor.execute([breaking])
    assert receipt(again) == replace(receipt(first), deduplicated=True)
    other = count(stream, 1, command_id=breaking.command_id)
    assert isinstance(executor.execute([other])[0], CommandIdReused)


# A stream that cannot be read.


def unreadable(store: WriteStore, executor: ThingExecutor) -> StreamId:
    """A stream with an event of a later release behind one of this."""
    stream = begun(executor)
    append_behind_its_back(
        store, stream, a_new_event(type="OfALaterRelease"), version=1
    )
    return stream


def test_an_event_of_an_unknown_type_spoils_only_its_stream(store: WriteStore) -> None:
    executor = executor_over(store)
    fine = begun(executor)
    stream = unreadable(store, executor)
    outcomes = executor.execute(
        [count(fine), count(stream), count(stream, -1), a_command(), count(fine)]
    )
    assert [gave_up(outcome) for outcome in outcomes] == [
        False,
        True,
        True,
        False,
        False,
    ]
    error = receipt(outcomes[1]).record.error
    assert error is not None
    assert error.facts["cause"] == "UnknownEvent"
    assert len(log_of(store)) == 6


def test_an_event_that_no_longer_folds_spoils_only_its_stream(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=BREAKS_FOLD), version=1)
    outcomes = executor.execute([count(stream), a_command()])
    assert [gave_up(outcome) for outcome in outcomes] == [True, False]


@pytest.mark.parametrize("cached", [True, False])
def test_a_repeated_command_has_its_outcome_though_its_stream_cannot_be_read(
    store: WriteStore,
    cached: bool,  # noqa: FBT001
) -> None:
    executor = executor_over(store, aggregates_max=100 if cached else 0)
    stream = begun(executor)
    known = count(stream)
    (first,) = executor.execute([known])
    append_behind_its_back(
        store, stream, a_new_event(type="OfALaterRelease"), version=2
    )
    for _ in range(2):
        outcomes = executor.execute([known, a_command()])
        assert receipt(outcomes[0]).record == receipt(first).record


def test_a_repeated_command_has_its_outcome_though_its_handler_would_break_now(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    known = count(stream)
    (first,) = executor.execute([known])
    reworked = replace(
        count(stream, BREAKS_DECISION, command_id=known.command_id),
        fingerprint=known.fingerprint,
    )
    (again,) = executor.execute([reworked])
    assert receipt(again).record == receipt(first).record


def test_a_handler_that_breaks_on_a_stale_state_is_asked_again_with_the_true_one(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=MENDED), version=1)
    (outcome,) = executor.execute([count(stream, BREAKS_DECISION)])
    assert receipt(outcome).view.total == MENDED + BREAKS_DECISION


# A value that the database does not take.

POISON = "\ud800"
"""Half of a character: Python holds it, and no database stores it."""


def test_a_value_that_the_database_refuses_spoils_only_its_command(
    sqlite: SqlWriteStore,
) -> None:
    executor = executor_over(sqlite)
    stream = begun(executor)
    poison = replace(count(stream, 5), trace=replace(TRACE, correlation_id=POISON))
    outcomes = executor.execute([count(stream, 1), poison, count(stream, 2)])
    assert [is_not_stored(outcome) for outcome in outcomes] == [False, True, False]
    assert receipt(outcomes[2]).view.total == 3
    assert [e.stream_version for e in log_of(sqlite)] == [1, 2, 3]


def test_a_refusal_that_the_database_refuses_spoils_only_its_command(
    sqlite: SqlWriteStore,
) -> None:
    executor = executor_over(sqlite)
    stream = begun(executor)
    poison = replace(count(stream, -1), trace=replace(TRACE, causation_id=POISON))
    outcomes = executor.execute([poison, count(stream)])
    assert [is_not_stored(outcome) for outcome in outcomes] == [True, False]


def test_a_number_beyond_the_database_spoils_only_its_command(
    sqlite: SqlWriteStore,
) -> None:
    executor = executor_over(sqlite)
    command = a_command()
    poison = replace(command, fingerprint=replace(command.fingerprint, version=2**63))
    outcomes = executor.execute([poison, a_command()])
    assert [is_not_stored(outcome) for outcome in outcomes] == [True, False]


# A cache that is behind the log.


def test_a_stale_cache_appends_to_the_truth(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=7), version=1)
    (outcome,) = executor.execute([count(stream, 1)])
    assert receipt(outcome).view.total == 8
    assert receipt(outcome).record.stream_version == 3


def test_a_stale_cache_makes_no_false_refusal(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=7), version=1)
    (outcome,) = executor.execute([count(stream, -1)])
    refusal = receipt(outcome).record.error
    assert refusal is not None
    assert refusal.facts["total"] == "7"


def test_a_stale_cache_makes_no_false_mismatch(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=7), version=1)
    (outcome,) = executor.execute([count(stream, 1, expected_version=2)])
    assert receipt(outcome).record.stream_version == 3


def test_a_stale_cache_makes_no_false_no_op(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    append_behind_its_back(store, stream, Counted(by=7), version=1)
    (outcome,) = executor.execute([count(stream, 0)])
    assert receipt(outcome).record.stream_version == 2
    assert receipt(outcome).view.total == 7


def test_a_refusal_of_what_is_taken_for_new_is_made_of_the_truth(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = a_stream("thing")
    append_behind_its_back(store, stream, Begun(), Counted(by=7), version=0)
    outcomes = executor.execute([a_command(stream=stream), count(stream, -1)])
    assert refused(outcomes[0]) == "EXISTS"
    assert refused(outcomes[1]) == "NEGATIVE"
    assert len(log_of(store)) == 2


def test_one_stale_stream_among_many_is_found(store: WriteStore) -> None:
    executor = executor_over(store)
    streams = [begun(executor) for _ in range(5)]
    append_behind_its_back(store, streams[3], Counted(by=7), version=1)
    outcomes = executor.execute([count(stream, 0) for stream in streams])
    assert [receipt(outcome).view.total for outcome in outcomes] == [0, 0, 0, 7, 0]


# A store that fails.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [StoreUnavailable, StoreBroken])
def test_a_store_that_fails_at_any_step_keeps_nothing_and_is_not_believed(
    store: WriteStore, step: str, error: type[StoreUnavailable]
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream, fresh = begun(executor), a_stream("thing")
    batch = [count(stream, 5), a_command(stream=fresh), count(fresh, 3)]
    failing.fail_at(step, error=error)
    with pytest.raises(error):
        executor.execute(batch)
    assert executor.cache.get(stream) is None
    assert executor.cache.get(fresh) is None
    assert len(log_of(store)) == 1
    assert records_of(store, *(command.command_id for command in batch)) == {}
    failing.work()
    outcomes = executor.execute(batch)
    assert [r.stream_version for r in records(outcomes)] == [2, 1, 2]
    assert receipt(outcomes[0]).view.total == 5


@pytest.mark.parametrize("step", ["journal.find", "events.load", "events.versions"])
def test_a_store_that_fails_in_a_look_up_keeps_nothing(
    store: WriteStore, step: str
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream, known = begun(executor), a_command()
    executor.execute([known])
    batch = {
        "journal.find": [known],
        "events.load": [count(a_stream("thing"))],
        "events.versions": [count(stream, -1)],
    }[step]
    failing.fail_at(step)
    with pytest.raises(StoreUnavailable):
        executor.execute(batch)
    assert failing.failure.calls[-1] == step
    failing.work()
    assert isinstance(executor.execute(batch)[0], Receipt)


def test_a_commit_of_which_nothing_is_known_is_found_by_the_next_try(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream = begun(executor)
    command = count(stream, 5)
    failing.fail_at("commit", after=True)
    with pytest.raises(StoreUnavailable):
        executor.execute([command])
    failing.work()
    outcomes = executor.execute([command, count(stream, 1)])
    assert receipt(outcomes[0]).deduplicated
    assert [r.stream_version for r in records(outcomes)] == [2, 3]
    assert len(log_of(store)) == 3


def test_a_store_that_breaks_in_its_own_way_spoils_no_other_command(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream = begun(executor)
    failing.fail_at("outbox.add", error=ZeroDivisionError)
    outcomes = executor.execute([count(stream), count(stream, -1)])
    assert [is_not_stored(outcome) for outcome in outcomes] == [True, True]
    failing.work()
    (outcome,) = executor.execute([count(stream)])
    assert receipt(outcome).record.stage is CommandStage.COMMITTED
    assert receipt(outcome).record.stream_version == 2
