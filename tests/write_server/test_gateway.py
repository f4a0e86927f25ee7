"""The gateway with all that is behind it: what callers are told, and what stands in the store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from eventcore.command_gateway import Receipt, WaitFor
from eventcore.errors import (
    CommandIdReused,
    CommandNotFound,
    CommandQueueFull,
    StoreUnavailable,
    TooManyCalls,
)
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandEnvelope, CommandStage
from eventcore.operators import Operator
from eventcore.write_administration import FullPolicy
from tests.support.envelopes import a_stream
from tests.support.eventually import eventually
from tests.write_server.gateway_scene import WriteSide, write_side
from tests.write_server.outcomes import receipt
from tests.write_server.stored import FailingStore
from tests.write_server.things import (
    BREAKS_DECISION,
    a_command,
    count,
)
from write_server.admission import PAUSED_RETRY_SECONDS

STORE_ID = "01900000-0000-7000-8000-00000000abcd"
LONG_SECONDS = 30.0
OPERATOR = Operator(address="ipv4:127.0.0.1:1", correlation_id="flow")


@pytest.fixture
def memory() -> MemoryWriteStore:
    return MemoryWriteStore(store_id=STORE_ID)


@pytest.fixture
async def side(memory: MemoryWriteStore) -> AsyncIterator[WriteSide]:
    async with write_side(memory, memory) as running:
        yield running


async def executed(
    side: WriteSide,
    envelope: CommandEnvelope,
    *,
    wait_for: WaitFor = WaitFor.COMMITTED,
    wait_seconds: float = LONG_SECONDS,
) -> Receipt:
    return await side.gateway.execute(
        envelope, wait_seconds=wait_seconds, wait_for=wait_for
    )


async def test_the_first_answer_and_all_later_ones_are_the_same(
    side: WriteSide,
) -> None:
    begin = a_command(stream=a_stream("thing"))
    first = await executed(side, begin)
    await executed(side, count(begin.stream, 5))
    again = await executed(side, begin)
    assert again == replace(first, deduplicated=True)


async def test_64_calls_at_once_are_one_command(side: WriteSide) -> None:
    begin = a_command(stream=a_stream("thing"))
    receipts = await asyncio.gather(*(executed(side, begin) for _ in range(64)))
    assert {r.record for r in receipts if not r.deduplicated} | {
        r.record for r in receipts
    } == {receipts[0].record}
    assert [r.deduplicated for r in receipts].count(False) == 1


async def test_a_paused_server_stores_and_goes_on_when_it_is_resumed(
    side: WriteSide,
) -> None:
    stream = a_stream("thing")
    await side.administration.pause("maintenance", by=OPERATOR)
    first = await executed(side, a_command(stream=stream), wait_for=WaitFor.ACCEPTED)
    second = await executed(side, count(stream, 3), wait_for=WaitFor.ACCEPTED)
    assert [r.record.stage for r in (first, second)] == [CommandStage.ACCEPTED] * 2
    assert [r.record.attempts for r in (first, second)] == [0, 0]
    status = await side.administration.status()
    assert status.pause is not None
    assert (status.pause.reason, status.backlog, status.head_position) == (
        "maintenance",
        2,
        0,
    )
    await side.administration.resume("done", by=OPERATOR)
    done = await side.gateway.wait(second.record.command_id, wait_seconds=LONG_SECONDS)
    assert (done.record.stage, done.record.stream_version) == (
        CommandStage.COMMITTED,
        2,
    )
    assert (await side.administration.status()).backlog == 0


async def test_a_wait_for_the_outcome_that_ends_in_a_pause_is_answered_accepted(
    side: WriteSide,
) -> None:
    await side.administration.pause("maintenance", by=OPERATOR)
    answer = await executed(side, a_command(), wait_seconds=0.05)
    assert answer.record.stage is CommandStage.ACCEPTED
    assert not answer.deduplicated


async def test_a_second_pause_has_its_reason_and_the_time_of_the_first(
    side: WriteSide,
) -> None:
    await side.administration.pause("maintenance", by=OPERATOR)
    first = (await side.administration.status()).pause
    await side.administration.pause("it takes longer", by=OPERATOR)
    second = (await side.administration.status()).pause
    assert first is not None
    assert second == replace(first, reason="it takes longer")


async def test_a_full_backlog_says_so_in_its_own_figures(
    memory: MemoryWriteStore,
) -> None:
    async with write_side(memory, memory, backlog_capacity=2) as side:
        await side.administration.pause("maintenance", by=OPERATOR)
        for _ in range(2):
            await executed(side, a_command(), wait_for=WaitFor.ACCEPTED)
        with pytest.raises(CommandQueueFull, match="backlog") as raised:
            await executed(side, a_command(), wait_for=WaitFor.ACCEPTED)
        assert (raised.value.depth, raised.value.capacity) == (2, 2)
        assert raised.value.retry_delay_seconds == PAUSED_RETRY_SECONDS


async def test_what_is_stored_and_not_executed_is_executed_after_a_restart(
    memory: MemoryWriteStore,
) -> None:
    stream = a_stream("thing")
    commands = [a_command(stream=stream), count(stream, 2), count(stream, 0)]
    async with write_side(memory, memory) as side:
        await side.administration.pause("maintenance", by=OPERATOR)
        for command in commands:
            await executed(side, command, wait_for=WaitFor.ACCEPTED)
    async with write_side(memory, memory) as side:
        assert side.bus.paused
        again = await executed(side, commands[0], wait_for=WaitFor.ACCEPTED)
        assert (again.record.stage, again.deduplicated) == (CommandStage.ACCEPTED, True)
        await side.administration.resume("done", by=OPERATOR)
        receipts = [await executed(side, command) for command in commands]
    assert [r.record.stream_version for r in receipts] == [1, 2, 2]
    assert [r.deduplicated for r in receipts] == [True] * 3


async def test_a_command_that_breaks_is_tried_again_and_then_kept_for_an_operator(
    side: WriteSide,
) -> None:
    begin = a_command(stream=a_stream("thing"))
    await executed(side, begin)
    broken = count(begin.stream, BREAKS_DECISION)
    behind = count(begin.stream, 4)
    failed, later = await asyncio.gather(executed(side, broken), executed(side, behind))
    assert failed.record.stage is CommandStage.FAILED
    assert failed.record.attempts == 3
    assert failed.record.error is not None
    assert failed.record.error.reason == "COMMAND_FAILED"
    assert (later.record.stage, later.record.stream_version) == (
        CommandStage.COMMITTED,
        2,
    )
    again = await executed(side, broken)
    assert again == replace(failed, deduplicated=True)
    (letter,) = await side.administration.failed(after=None, limit=10)
    assert letter.stored.record == failed.record
    assert f'"by":{BREAKS_DECISION}' in letter.stored.request.payload


async def test_what_has_waited_before_a_restart_has_waited_since_then(
    memory: MemoryWriteStore,
) -> None:
    async with write_side(memory, memory) as side:
        await side.administration.pause("maintenance", by=OPERATOR)
        accepted = await executed(side, a_command(), wait_for=WaitFor.ACCEPTED)
    hour_later = accepted.record.accept_time + 3_600_000_000
    async with write_side(memory, memory, now=hour_later) as side:
        lanes = (await side.administration.status()).lanes
    ages = {lane.lane: lane.oldest_age_seconds for lane in lanes}
    assert ages.pop(accepted.record.lane) == pytest.approx(3600, abs=60)
    assert set(ages.values()) == {0.0}


async def test_a_failed_command_succeeds_once_an_operator_retries_it(
    side: WriteSide,
) -> None:
    begin = a_command(stream=a_stream("thing"))
    await executed(side, begin)
    broken = count(begin.stream, BREAKS_DECISION)
    await executed(side, broken)
    await executed(side, count(begin.stream, 1000))
    (record,) = await side.administration.retry(
        [broken.command_id], reason="mended", by=OPERATOR
    )
    assert record.stage is CommandStage.ACCEPTED
    done = await side.gateway.wait(broken.command_id, wait_seconds=LONG_SECONDS)
    assert (done.record.stage, done.record.stream_version) == (
        CommandStage.COMMITTED,
        3,
    )
    assert await side.administration.failed(after=None, limit=10) == []


async def test_a_failed_command_that_is_discarded_says_so_for_ever(
    side: WriteSide,
) -> None:
    begin = a_command(stream=a_stream("thing"))
    await executed(side, begin)
    broken = count(begin.stream, BREAKS_DECISION)
    await executed(side, broken)
    (record,) = await side.administration.discard(
        [broken.command_id], reason="no use", by=OPERATOR
    )
    assert record.stage is CommandStage.DISCARDED
    assert record.error is not None
    assert record.error.message.endswith("no use")
    assert (await executed(side, broken)).record == record
    (again,) = await side.administration.retry(
        [broken.command_id], reason="oh", by=OPERATOR
    )
    assert again == record
    with pytest.raises(CommandNotFound):
        await side.administration.discard(["nothing"], reason="no use", by=OPERATOR)


async def test_a_batch_is_admitted_whole_and_each_has_its_outcome(
    side: WriteSide,
) -> None:
    stream = a_stream("thing")
    begin = a_command(stream=stream)
    other = replace(begin, fingerprint=count(stream, 9).fingerprint)
    outcomes = await side.gateway.execute_all(
        [begin, count(stream, 2), begin, count(stream, -1), other],
        wait_seconds=LONG_SECONDS,
        wait_for=WaitFor.COMMITTED,
    )
    assert [receipt(o).record.stream_version for o in outcomes[:3]] == [1, 2, 1]
    assert [receipt(o).deduplicated for o in outcomes[:3]] == [False, False, True]
    assert receipt(outcomes[3]).record.stage is CommandStage.REFUSED
    assert isinstance(outcomes[4], CommandIdReused)


async def test_a_validation_says_what_would_happen_and_claims_no_id(
    side: WriteSide,
) -> None:
    stream = a_stream("thing")
    begin = a_command(stream=stream)
    outcomes = await side.gateway.validate(
        [begin, count(stream, 2, times=3), count(stream, -1)]
    )
    assert [receipt(o).record.stage for o in outcomes] == [
        CommandStage.VALIDATED,
        CommandStage.VALIDATED,
        CommandStage.REFUSED,
    ]
    assert [receipt(o).record.event_count for o in outcomes] == [1, 3, 0]
    with pytest.raises(CommandNotFound):
        await side.gateway.find(begin.command_id)
    done = await executed(side, begin)
    (known,) = await side.gateway.validate([begin])
    assert known == replace(done, deduplicated=True)


async def test_overflow_stores_what_has_no_room_and_executes_it_in_order(
    memory: MemoryWriteStore,
) -> None:
    stream = a_stream("thing")
    commands = [a_command(stream=stream), *(count(stream) for _ in range(39))]
    async with write_side(
        memory, memory, capacity=2, policy=FullPolicy.OVERFLOW
    ) as side:
        calls = [
            asyncio.create_task(executed(side, c, wait_for=WaitFor.ACCEPTED))
            for c in commands
        ]
        answers = await asyncio.gather(*calls)
        stages = {answer.record.stage for answer in answers}
        assert CommandStage.ACCEPTED in stages
        last = await side.gateway.wait(
            commands[-1].command_id, wait_seconds=LONG_SECONDS
        )
    assert last.record.stream_version == 40
    with memory.snapshot() as snapshot:
        records = snapshot.journal.find([c.command_id for c in commands])
    versions = [records[command.command_id].stream_version for command in commands]
    assert versions == list(range(1, 41))


async def test_a_full_backlog_refuses(memory: MemoryWriteStore) -> None:
    async with write_side(
        memory, memory, policy=FullPolicy.OVERFLOW, backlog_capacity=3
    ) as side:
        await side.administration.pause("maintenance", by=OPERATOR)
        for _ in range(3):
            await executed(side, a_command(), wait_for=WaitFor.ACCEPTED)
        with pytest.raises(CommandQueueFull, match="backlog"):
            await executed(side, a_command(), wait_for=WaitFor.ACCEPTED)


async def test_a_stream_takes_in_as_fast_as_is_executed(side: WriteSide) -> None:
    stream = a_stream("thing")
    commands = [a_command(stream=stream), *(count(stream, 1) for _ in range(60))]
    async with side.gateway.stream() as commands_in:
        outcomes = [
            await commands_in.submit(
                command, wait_seconds=LONG_SECONDS, wait_for=WaitFor.COMMITTED
            )
            for command in commands
        ]
        receipts = [receipt(await outcome) for outcome in outcomes]
    assert [r.record.stream_version for r in receipts] == list(range(1, 62))


async def test_a_stream_that_is_left_withdraws_what_is_not_taken(
    memory: MemoryWriteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with write_side(memory, memory, capacity=4, streams_max=1) as side:
        monkeypatch.setattr(side.bus.lanes, "take", lambda _count_max: [])
        async with side.gateway.stream() as commands_in:
            for _ in range(2):
                await commands_in.submit(
                    a_command(), wait_seconds=LONG_SECONDS, wait_for=WaitFor.COMMITTED
                )
            held = asyncio.ensure_future(
                commands_in.submit(
                    a_command(), wait_seconds=LONG_SECONDS, wait_for=WaitFor.COMMITTED
                )
            )
            await asyncio.sleep(0)
            assert not held.done()
            with pytest.raises(TooManyCalls):
                async with side.gateway.stream():
                    pass
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
        await eventually(lambda: not side.bus._in_flight)


async def test_waiting_for_a_command_that_nobody_knows_finds_nothing(
    side: WriteSide,
) -> None:
    with pytest.raises(CommandNotFound):
        await side.gateway.wait("nothing", wait_seconds=LONG_SECONDS)


@pytest.mark.parametrize("step", ["begin", "commit"])
async def test_an_outcome_is_known_while_the_store_takes_nothing(
    memory: MemoryWriteStore, step: str
) -> None:
    store = FailingStore(memory)
    async with write_side(store, memory) as side:
        first = await executed(side, begin := a_command())
        store.fail_at(step)
        assert await executed(side, begin) == replace(first, deduplicated=True)
        with pytest.raises(StoreUnavailable):
            await executed(side, a_command())


async def test_an_outcome_is_known_without_a_wait_for_room(
    memory: MemoryWriteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with write_side(
        memory,
        memory,
        capacity=1,
        policy=FullPolicy.WAIT,
        holding_seconds=LONG_SECONDS,
    ) as side:
        first = await executed(side, begin := a_command())
        monkeypatch.setattr(side.bus.lanes, "take", lambda _count_max: [])
        waiting = asyncio.create_task(executed(side, a_command()))
        await eventually(lambda: side.bus.lanes.depth(begin.lane) == 1)
        async with asyncio.timeout(LONG_SECONDS / 3):
            assert await executed(side, begin) == replace(first, deduplicated=True)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_the_status_tells_how_long_a_command_waits_to_be_tried_again(
    memory: MemoryWriteStore,
) -> None:
    async with write_side(memory, memory, backoff_seconds=LONG_SECONDS) as side:
        stream = (await executed(side, a_command())).record.stream
        await executed(side, count(stream, BREAKS_DECISION), wait_for=WaitFor.ACCEPTED)
        lanes = (await side.administration.status()).lanes
    assert [lane.backlog for lane in lanes] == [0, 1, 0]
    assert [lane.oldest_age_seconds > 0 for lane in lanes] == [False, True, False]
