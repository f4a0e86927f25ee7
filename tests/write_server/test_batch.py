"""Batches of commands, executed in one transaction: on memory and on SQLite."""

import itertools
from dataclasses import replace

import pytest

from eventcore.errors import CommandIdReused, StoreUnavailable
from eventcore.messages import CommandStage
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream, an_id
from tests.write_server.outcomes import receipt, records, refused, stages
from tests.write_server.stored import (
    FailingStore,
    log_of,
    numbers,
    records_of,
)
from tests.write_server.things import (
    NOW,
    TRACE,
    Count,
    View,
    a_command,
    begun,
    count,
    executor_over,
)


def test_a_batch_is_one_transaction(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched)
    executor.execute([a_command() for _ in range(50)])
    assert numbers(watched.failure.calls, "commit") == 1
    assert len(log_of(store)) == 50


def test_an_empty_batch_stores_nothing(store: WriteStore) -> None:
    assert executor_over(store).execute([]) == []
    assert log_of(store) == []


def test_what_is_new_is_stored_without_looking_anything_up(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched)
    stream = begun(executor)
    watched.work()
    executor.execute([a_command(), count(stream)])
    assert watched.failure.calls == [
        "begin",
        "events.append",
        "outbox.add",
        "journal.add",
        "commit",
    ]


def test_outcomes_come_in_the_order_of_the_commands(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    known = a_command()
    executor.execute([known])
    batch = [count(stream, -1), a_command(), known, count(stream, 13), count(stream)]
    outcomes = executor.execute(batch)
    assert stages(outcomes) == [
        "refused",
        "committed",
        "committed",
        "failed",
        "committed",
    ]
    ids = [record.command_id for record in records(outcomes)]
    assert ids == [command.command_id for command in batch]


def test_a_whole_life_fits_into_one_transaction(store: WriteStore) -> None:
    stream = a_stream("thing")
    watched = FailingStore(store)
    outcomes = executor_over(watched).execute(
        [a_command(stream=stream), count(stream, 2, times=3), count(stream, 5)]
    )
    records = [receipt(outcome).record for outcome in outcomes]
    assert [(r.stream_version, r.position, r.event_count) for r in records] == [
        (1, 1, 1),
        (4, 4, 3),
        (5, 5, 1),
    ]
    assert [e.stream_version for e in log_of(store)] == [1, 2, 3, 4, 5]
    assert numbers(watched.failure.calls, "begin") == 1


def test_the_view_of_a_receipt_is_as_of_its_command(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = a_stream("thing")
    first = executor.execute([a_command(stream=stream), count(stream, 2)])
    second = executor.execute([count(stream, 3), count(stream, 0), count(stream, 4)])
    views = [receipt(outcome).view for outcome in first + second]
    assert views == [
        View(total=total, version=version, position=version, record_time=NOW)
        for total, version in [(0, 1), (2, 2), (5, 3), (5, 3), (9, 4)]
    ]


def test_streams_that_alternate_keep_their_own_versions(store: WriteStore) -> None:
    executor = executor_over(store)
    one, two = begun(executor), begun(executor)
    outcomes = executor.execute(
        [count(one), count(two, times=2), count(one), count(two)]
    )
    records = [receipt(outcome).record for outcome in outcomes]
    assert [(r.stream_version, r.position) for r in records] == [
        (2, 3),
        (3, 5),
        (3, 6),
        (4, 7),
    ]


def test_work_that_was_done_before_is_committed_without_an_event(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor, counts=[1])
    begun(executor)
    (outcome,) = executor.execute([count(stream, 0)])
    record = receipt(outcome).record
    assert (record.stage, record.event_count) == (CommandStage.COMMITTED, 0)
    assert (record.stream_version, record.position) == (2, 2)
    assert len(log_of(store)) == 3


def test_a_refusal_is_stored_and_stores_no_event(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor, counts=[1])
    command = count(stream, -1)
    (outcome,) = executor.execute([command])
    record = receipt(outcome).record
    assert refused(outcome) == "NEGATIVE"
    assert receipt(outcome).view is None
    assert (record.stream_version, record.position, record.event_count) == (0, 0, 0)
    assert records_of(store, command.command_id) == {command.command_id: record}
    assert len(log_of(store)) == 2


def test_a_refusal_is_repeated_word_for_word_when_it_would_not_be_made_again(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    command = count(stream, -1)
    (first,) = executor.execute([command])
    executor.execute([count(stream, 7)])
    (again,) = executor.execute([command])
    assert receipt(again) == replace(receipt(first), deduplicated=True)


def test_a_repeated_command_has_the_effect_and_the_outcome_of_the_first(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    command = count(stream, 5)
    (first,) = executor.execute([command])
    (again,) = executor.execute([command])
    assert receipt(again) == replace(receipt(first), deduplicated=True, view=None)
    assert len(log_of(store)) == 2


@pytest.mark.parametrize("aggregates_max", [0, 100])
def test_a_repeated_placing_of_what_exists_gets_its_first_outcome(
    store: WriteStore, aggregates_max: int
) -> None:
    executor = executor_over(store, aggregates_max=aggregates_max)
    command = a_command()
    executor.execute([command])
    (again,) = executor.execute([command])
    assert receipt(again).record.stage is CommandStage.COMMITTED


def test_a_repeated_command_may_come_for_another_stream_of_the_servers_choice(
    store: WriteStore,
) -> None:
    executor = executor_over(store)
    command = a_command()
    executor.execute([command])
    (again,) = executor.execute([replace(command, stream=a_stream("thing"))])
    assert receipt(again).record.stream == command.stream
    assert len(log_of(store)) == 1


def test_an_id_is_not_for_other_content(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    command = count(stream, 5)
    executor.execute([command])
    for other in (
        count(stream, 6, command_id=command.command_id),
        count(stream, 5, command_id=command.command_id, expected_version=1),
        a_command(stream=stream, command_id=command.command_id),
    ):
        (outcome,) = executor.execute([other])
        assert isinstance(outcome, CommandIdReused)
    assert len(log_of(store)) == 2


def test_repeated_and_new_commands_share_a_batch(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    known = count(stream, 5)
    executor.execute([known])
    reused = count(stream, 6, command_id=known.command_id)
    for repeated, name in ((known, "Receipt"), (reused, "CommandIdReused")):
        outcomes = executor.execute([count(stream, 1), repeated, count(stream, 2)])
        assert type(outcomes[1]).__name__ == name
        assert receipt(outcomes[2]).record.event_count == 1
    assert receipt(outcomes[2]).view.total == 5 + 2 * (1 + 2)


@pytest.mark.parametrize("case", ["repeated", "reused", "exists"])
def test_one_command_that_is_not_new_has_no_history_read_again(
    store: WriteStore, case: str
) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched)
    streams = [begun(executor) for _ in range(5)]
    known = count(streams[0], 5)
    executor.execute([known])
    watched.work()
    odd = {
        "repeated": known,
        "reused": count(streams[0], 6, command_id=known.command_id),
        "exists": a_command(stream=streams[0]),
    }[case]
    outcomes = executor.execute([*(count(stream) for stream in streams), odd])
    assert [r.stream_version for r in records(outcomes[:5])] == [3, 2, 2, 2, 2]
    assert numbers(watched.failure.calls, "events.load") == 0
    assert numbers(watched.failure.calls, "commit") == 1


def test_events_say_where_they_come_from(store: WriteStore) -> None:
    command = a_command()
    executor_over(store).execute([command])
    (event,) = log_of(store)
    assert event.trace == replace(TRACE, causation_id=command.command_id)


@pytest.mark.parametrize("by", [1, 0, -1], ids=["events", "nothing", "refusal"])
def test_records_say_where_their_command_came_from(store: WriteStore, by: int) -> None:
    executor = executor_over(store)
    command = count(begun(executor), by)
    executor.execute([command])
    record = records_of(store, command.command_id)[command.command_id]
    assert record.trace == TRACE
    assert (record.type, record.stream) == ("Count", command.stream)
    assert (record.lane, record.fingerprint) == (command.lane, command.fingerprint)


def test_the_receipt_is_what_is_stored(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = begun(executor)
    batch = [count(stream), count(stream, 0), count(stream, -1), a_command()]
    outcomes = executor.execute(batch)
    stored = records_of(store, *(command.command_id for command in batch))
    assert {r.record.command_id: r.record for r in map(receipt, outcomes)} == stored


def test_record_times_never_fall_when_the_clock_does(store: WriteStore) -> None:
    times = itertools.chain([NOW, NOW - 50], itertools.repeat(NOW + 1))
    executor = executor_over(store, clock=lambda: next(times))
    stream = begun(executor, counts=[1, 1])
    assert [e.record_time for e in log_of(store)] == [NOW, NOW, NOW + 1]
    history = executor.execute([count(stream, 0)])
    assert receipt(history[0]).view.record_time == NOW + 1


def test_a_command_is_stored_at_the_time_of_its_events(store: WriteStore) -> None:
    times = iter([NOW, NOW - 50])
    executor = executor_over(store, clock=lambda: next(times))
    executor.execute([a_command()])
    (outcome,) = executor.execute([a_command()])
    record = receipt(outcome).record
    assert (record.accept_time, record.complete_time) == (NOW, NOW)


def test_the_cache_forgets_what_was_used_longest_ago(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_over(watched, aggregates_max=2)
    old, newer = begun(executor), begun(executor)
    executor.execute([count(old)])
    begun(executor)
    for stream, loads in ((old, 0), (newer, 1), (old, 0)):
        watched.work()
        executor.execute([count(stream)])
        assert numbers(watched.failure.calls, "events.load") == loads, stream


def test_a_store_that_is_full_for_a_while_loses_and_doubles_nothing(
    store: WriteStore,
) -> None:
    failing = FailingStore(store)
    executor = executor_over(failing)
    stream = begun(executor)
    batch = [count(stream, 2), count(stream, 3), a_command()]
    failing.fail_at("commit")
    with pytest.raises(StoreUnavailable):
        executor.execute(batch)
    assert len(log_of(store)) == 1
    failing.work()
    outcomes = executor.execute(batch)
    assert [r.stream_version for r in records(outcomes)] == [2, 3, 1]
    assert receipt(outcomes[1]).view.total == 5


def test_each_event_has_an_id_of_its_own(store: WriteStore) -> None:
    executor = executor_over(store)
    stream = a_stream("thing")
    executor.execute([a_command(stream=stream), count(stream, times=3)])
    assert len({event.event_id for event in log_of(store)}) == 4


def test_ids_of_any_form_are_keys(store: WriteStore) -> None:
    executor = executor_over(store)
    commands = [
        a_command(Count(by=-1), a_stream("thing"), command_id=command_id)
        for command_id in ("a", "A", an_id(), "x:1", "x.1")
    ]
    executor.execute(commands)
    stored = records_of(store, *(command.command_id for command in commands))
    assert len(stored) == len(commands)
