"""The outbox is kept short by what commands leave time for, and no command hangs on it."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from eventcore.command_gateway import WaitFor
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandEnvelope, CommandStage, StreamId
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream, an_append
from tests.support.eventually import eventually
from tests.write_server.conftest import STORE_ID
from tests.write_server.gateway_scene import WriteSide, write_side
from tests.write_server.stored import FailingStore, Killed, log_of
from tests.write_server.things import (
    BREAKS_DECISION,
    ThingExecutor,
    a_command,
    begun,
    count,
    executor_over,
)

KEEP = 5
TAKEN_OUT = 3
"""By one transaction."""
LONG_SECONDS = 30.0
PRUNED = "orderes_outbox_pruned_total"
A_TRANSACTION = ["begin", "outbox.lowest_position", "outbox.prune", "commit"]


def executor_that_prunes(
    store: WriteStore, *, keep_events: int = KEEP, prune_events_max: int = TAKEN_OUT
) -> ThingExecutor:
    return executor_over(
        store, keep_events=keep_events, prune_events_max=prune_events_max
    )


def outbox_of(store: WriteStore) -> list[int]:
    """What is in it: all from where it begins, or a read of it would fail."""
    with store.begin() as unit:
        lowest = unit.outbox.lowest_position()
        if lowest is None:
            return []
        rest = unit.outbox.read(after_position=lowest - 1, limit=1_000_000).events
        return [envelope.position for envelope in rest]


def grow(executor: ThingExecutor, stream: StreamId, events: int = 1) -> None:
    executor.execute([count(stream, times=events)])


def prune(executor: ThingExecutor) -> list[int]:
    """What a turn of the writer takes out, by transaction."""
    pruned = []
    while executor.execution.pruning_is_due:
        pruned.append(executor.execution.prune_outbox())
    return pruned


def left_by_another_release(store: WriteStore, events: int) -> None:
    """Events whose positions were never taken out of the outbox."""
    with store.begin() as unit:
        appended = unit.events.append([an_append(a_stream(), count=events)], now=1)
        unit.outbox.add([envelope.position for envelope in appended])
        unit.commit()


def test_the_newest_events_stay_and_a_transaction_is_worth_its_fsync(
    store: WriteStore,
) -> None:
    executor = executor_that_prunes(store)
    stream = begun(executor)
    lengths = []
    for _ in range(12):
        grow(executor, stream)
        assert prune(executor) in ([], [TAKEN_OUT])
        outbox = outbox_of(store)
        assert outbox[-1] == len(log_of(store))
        lengths.append(len(outbox))
    assert lengths == [2, 3, 4, 5, 6, 7, 5, 6, 7, 5, 6, 7]


def test_a_batch_takes_none_out_in_its_own_transaction(store: WriteStore) -> None:
    watched = FailingStore(store)
    executor = executor_that_prunes(watched)
    grow(executor, begun(executor), 10)
    assert "outbox.prune" not in watched.failure.calls
    watched.work()
    executor.execution.prune_outbox()
    assert watched.failure.calls == A_TRANSACTION


def test_to_keep_none_is_a_choice(store: WriteStore) -> None:
    executor = executor_that_prunes(store, keep_events=0)
    stream = begun(executor)
    for left in (2, 0, 1, 2, 0):
        grow(executor, stream)
        prune(executor)
        assert len(outbox_of(store)) == left
    assert len(log_of(store)) == 6


def test_a_server_without_commands_prunes_nothing(store: WriteStore) -> None:
    left_by_another_release(store, 100)
    executor = executor_that_prunes(store)
    assert not executor.execution.pruning_is_due
    executor.store([a_command()])
    assert not executor.execution.pruning_is_due


def test_what_appends_nothing_prunes_nothing(store: WriteStore) -> None:
    executor = executor_that_prunes(store)
    stream = begun(executor)
    repeated = count(stream, times=20)
    executor.execute([repeated])
    for nothing in (
        count(stream, -1),
        count(stream, 0),
        count(stream, BREAKS_DECISION),
        repeated,
    ):
        executor.execute([nothing])
        assert not executor.execution.pruning_is_due
    assert len(outbox_of(store)) == 21


def test_what_an_older_release_has_left_goes_batch_by_batch(store: WriteStore) -> None:
    left_by_another_release(store, 1000)
    executor = executor_that_prunes(store, prune_events_max=100)
    stream = begun(executor)
    lengths = []
    for _ in range(11):
        prune(executor)
        lengths.append(len(outbox_of(store)))
        grow(executor, stream)
    assert lengths == [901, 802, 703, 604, 505, 406, 307, 208, 109, 10, 11]
    assert len(log_of(store)) == 1012


@pytest.mark.parametrize("appended", [1, 2, 3, 4, 10, 100])
def test_it_gets_shorter_however_much_a_batch_appends(
    store: WriteStore, appended: int
) -> None:
    left_by_another_release(store, 1000)
    executor = executor_that_prunes(store)
    stream = begun(executor)
    prune(executor)
    before = len(outbox_of(store))
    for _ in range(5):
        grow(executor, stream, appended)
        pruned = prune(executor)
        assert set(pruned) == {TAKEN_OUT}
        after = len(outbox_of(store))
        assert before - after == sum(pruned) - appended > 0
        before = after


def test_a_turn_has_time_for_one_transaction_and_no_more_if_that_is_enough(
    store: WriteStore,
) -> None:
    left_by_another_release(store, 1000)
    executor = executor_that_prunes(store, prune_events_max=10)
    stream = begun(executor)
    for appended, transactions in ((1, 1), (5, 1), (6, 2), (10, 2), (50, 10)):
        grow(executor, stream, appended)
        assert prune(executor) == [10] * transactions


def test_another_process_goes_on_where_this_one_was(store: WriteStore) -> None:
    executor = executor_that_prunes(store)
    grow(executor, begun(executor), 20)
    prune(executor)
    outbox = outbox_of(store)
    watched = FailingStore(store)
    executor = executor_that_prunes(watched)
    stream = begun(executor)
    watched.work()
    # It may seem to be long: one look tells that it is not, and then that is known.
    assert prune(executor) == [0]
    assert watched.failure.calls == ["begin", "outbox.lowest_position"]
    assert outbox_of(store) == [*outbox, 22]
    watched.work()
    grow(executor, stream)
    assert "outbox.lowest_position" not in watched.failure.calls
    grow(executor, stream)
    assert prune(executor) == [TAKEN_OUT]


def test_an_outbox_that_is_empty_is_known_after_one_look(store: WriteStore) -> None:
    with store.begin() as unit:
        unit.events.append([an_append(a_stream(), count=20)], now=1)
        unit.commit()
    watched = FailingStore(store)
    executor = executor_that_prunes(watched, keep_events=0)
    stream = begun(executor)
    with store.begin() as unit:
        assert unit.outbox.prune(up_to_position=21, limit=1) == 1
        unit.commit()
    watched.work()
    assert prune(executor) == [0]
    assert watched.failure.calls == ["begin", "outbox.lowest_position"]
    grow(executor, stream)
    assert prune(executor) == []


def test_what_is_not_committed_counts_for_nothing(store: WriteStore) -> None:
    failing = FailingStore(store)
    executor = executor_that_prunes(failing)
    stream = begun(executor)
    failing.fail_at("commit")
    with pytest.raises(StoreUnavailable):
        grow(executor, stream, 20)
    assert not executor.execution.pruning_is_due


@pytest.mark.parametrize("step", A_TRANSACTION)
@pytest.mark.parametrize("error", [StoreUnavailable, ZeroDivisionError])
def test_a_store_that_cannot_prune_loses_nothing_and_is_told_of_once(
    store: WriteStore, step: str, error: type[Exception]
) -> None:
    failing = FailingStore(store)
    executor = executor_that_prunes(failing)
    stream = begun(executor)
    with capture_logs() as logs:
        for _ in range(3):
            grow(executor, stream, 20)
            failing.fail_at(step, error=error)
            assert prune(executor) == [0]
            failing.work()
    assert [line["event"] for line in logs] == ["outbox_not_pruned"]
    assert len(outbox_of(store)) == len(log_of(store)) == 61
    grow(executor, stream)
    assert prune(executor) == [TAKEN_OUT]
    with capture_logs() as logs:
        grow(executor, stream)
        failing.fail_at(step, error=error)
        prune(executor)
    assert len(logs) == 1


@pytest.mark.parametrize("step", A_TRANSACTION)
@pytest.mark.parametrize("error", [StoreBroken, Killed])
def test_a_store_that_breaks_is_told(
    store: WriteStore, step: str, error: type[BaseException]
) -> None:
    failing = FailingStore(store)
    executor = executor_that_prunes(failing)
    grow(executor, begun(executor), 10)
    failing.fail_at(step, error=error)
    with pytest.raises(error):
        executor.execution.prune_outbox()
    assert len(outbox_of(store)) == len(log_of(store)) == 11


def test_a_commit_whose_answer_was_lost_is_found_out_about(store: WriteStore) -> None:
    failing = FailingStore(store)
    executor = executor_that_prunes(failing)
    stream = begun(executor)
    grow(executor, stream, 10)
    failing.fail_at("commit", after=True)
    assert prune(executor) == [0]
    failing.work()
    assert len(outbox_of(store)) == 8
    grow(executor, stream, 10)
    prune(executor)
    assert len(outbox_of(store)) == KEEP + (8 + 10 - KEEP) % TAKEN_OUT


def test_a_hole_in_the_outbox_holds_nothing_up(store: WriteStore) -> None:
    executor = executor_that_prunes(store)
    stream = begun(executor)
    with store.begin() as unit:
        unit.events.append([an_append(a_stream(), count=30)], now=1)
        unit.commit()
    for _ in range(4):
        grow(executor, stream, 4)
        prune(executor)
    assert len(outbox_of(store)) in range(KEEP, KEEP + TAKEN_OUT)
    assert len(log_of(store)) == 47


# In the turns of the writer.


async def executed(side: WriteSide, *commands: CommandEnvelope) -> None:
    for command in commands:
        answer = await side.gateway.execute(
            command, wait_seconds=LONG_SECONDS, wait_for=WaitFor.COMMITTED
        )
        assert answer.record.stage is CommandStage.COMMITTED


async def test_the_writer_keeps_it_short_and_counts() -> None:
    memory = MemoryWriteStore(store_id=STORE_ID)
    async with write_side(
        memory, memory, keep_events=KEEP, prune_events_max=TAKEN_OUT
    ) as side:
        begin = a_command()
        await executed(side, begin, *(count(begin.stream) for _ in range(20)))
        await eventually(lambda: side.sample(PRUNED) == 15)
    assert outbox_of(memory) == [16, 17, 18, 19, 20, 21]
    assert len(log_of(memory)) == 21


async def test_callers_are_answered_before_it_is_pruned() -> None:
    memory = MemoryWriteStore(store_id=STORE_ID)
    store = FailingStore(memory)
    go_on = threading.Event()

    def away_after_a_while() -> StoreUnavailable:
        assert go_on.wait(LONG_SECONDS)
        return StoreUnavailable()

    async with write_side(
        store, memory, keep_events=0, prune_events_max=TAKEN_OUT
    ) as side:
        begin = a_command()
        await executed(side, begin)
        store.fail_at("outbox.prune", error=away_after_a_while)
        await executed(side, count(begin.stream, times=TAKEN_OUT))
        await eventually(lambda: "outbox.prune" in store.failure.calls)
        later = asyncio.create_task(executed(side, count(begin.stream)))
        go_on.set()
        await later
        assert side.sample(PRUNED) == 0
        store.work()
        await executed(side, count(begin.stream))
        await eventually(lambda: side.sample(PRUNED) >= TAKEN_OUT)


async def test_a_store_that_breaks_while_it_is_pruned_ends_the_writer() -> None:
    memory = MemoryWriteStore(store_id=STORE_ID)
    store = FailingStore(memory)
    async with write_side(
        store, memory, keep_events=0, prune_events_max=TAKEN_OUT
    ) as side:
        store.fail_at("outbox.prune", error=StoreBroken)
        begin = a_command()
        await executed(side, begin, count(begin.stream, times=TAKEN_OUT))
        with pytest.raises(StoreBroken):
            await side.writing
