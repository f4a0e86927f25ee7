"""Whatever fails and is killed: each command takes effect once, in its order, and all answers to it
are the same.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandEnvelope, CommandRecord, ErrorRecord, StreamId
from eventcore.operators import Pause
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream
from tests.write_server.conftest import STORE_ID, sqlite_store
from tests.write_server.small_bus import Fault, SmallBus
from tests.write_server.stored import log_of, records_of, requests_of
from tests.write_server.test_batch_laws import NUMBERS, WITHOUT_SHRINKING
from tests.write_server.things import (
    MENDED,
    NOW,
    Begin,
    Command,
    Count,
    ThingExecutor,
    ThingSnapshots,
    a_command,
    begun,
    count,
    executor_over,
    handlers_with,
)
from write_server import recovery
from write_server.recovery import recover

FAULTS_MAX = 5
"""So few that none is given up for the ends of its process."""
ATTEMPTS_MAX = FAULTS_MAX + 2

HANDLERS = handlers_with(ThingSnapshots())


def test_what_was_accepted_is_found_in_its_order(store: WriteStore) -> None:
    executor = executor_over(store)
    first, second = a_command(), a_command()
    executor.store([first, second])
    executor.execute([a_command()])
    recovered = recover(store)
    assert [c.command_id for c in recovered.commands] == [
        first.command_id,
        second.command_id,
    ]
    assert recovered.pause is None


def test_more_than_one_page_is_found(
    store: WriteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PAGE_COMMANDS", 2)
    executor = executor_over(store)
    commands = [a_command() for _ in range(4)]
    executor.store(commands)
    for left in (4, 3):
        ids = [command.command_id for command in recover(store).commands]
        assert ids == [command.command_id for command in commands[-left:]]
        executor.execute([ids[0]])


def test_what_is_settled_is_not_found(store: WriteStore) -> None:
    executor = executor_over(store, attempts_max=1)
    stream = begun(executor)
    commands = [count(stream), count(stream, -1), count(stream, 0), count(stream, 13)]
    executor.store(commands)
    executor.execute([command.command_id for command in commands])
    assert recover(store).commands == []


def test_a_pause_is_found(store: WriteStore) -> None:
    pause = Pause(reason="maintenance", time=NOW)
    with store.begin() as unit:
        unit.control.set_pause(pause)
        unit.commit()
    assert recover(store).pause == pause


# A walk.


@dataclass(frozen=True, slots=True)
class Send:
    """Clients send commands: of a number of a stream and content, and the version expected."""

    commands: Sequence[tuple[int, Command, int | None]]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A client repeats one of its commands."""

    number: int


@dataclass(frozen=True, slots=True)
class Run:
    """A batch is executed."""

    count: int
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Spill:
    """What is in memory is stored."""

    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Snap:
    """Snapshots are written."""

    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Restart:
    """The process ends between two steps."""


Step = Send | Repeat | Run | Spill | Snap | Restart

STREAMS = 3
CONTENT = st.one_of(
    st.just(Begin()),
    st.builds(Count, by=NUMBERS),
    # Behind one that breaks, these would mend it if they came before it.
    st.builds(Count, by=st.sampled_from([1, MENDED])),
)
FAULT = st.one_of(
    st.none(), st.builds(Fault, st.integers(1, 25), st.booleans(), st.booleans())
)
STEPS = st.one_of(
    st.builds(
        Send,
        st.lists(
            st.tuples(
                st.integers(0, STREAMS - 1),
                CONTENT,
                st.sampled_from([None, None, None, 1, 2, 3]),
            ),
            min_size=1,
            max_size=5,
        ),
    ),
    st.builds(Run, st.integers(1, 6), FAULT),
    st.builds(Run, st.integers(1, 6), FAULT),
    st.builds(Spill, FAULT),
    st.builds(Repeat, st.integers(0, 50)),
    st.builds(Snap, FAULT),
    st.just(Restart()),
)


def take(bus: SmallBus, step: Step, streams: Sequence[StreamId]) -> None:
    match step:
        case Send(commands):
            bus.send(
                [
                    a_command(content, streams[number], expected_version=version)
                    for number, content, version in commands
                ]
            )
        case Repeat(number):
            bus.repeat(number)
        case Run(count, fault):
            bus.run(count, fault)
        case Spill(fault):
            bus.spill(fault)
        case Snap(fault):
            bus.write_snapshots(fault)
        case Restart():
            bus.restart()
        case _:
            assert_never(step)


def without_excess_of_faults(steps: Sequence[Step]) -> list[Step]:
    """The same steps, in which no more than so many faults happen."""
    faults = 0
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Run | Spill | Snap) and step.fault is not None:
            faults += 1
            if faults > FAULTS_MAX:
                kept.append(replace(step, fault=None))
                continue
        kept.append(step)
    return kept


def essence(record: CommandRecord) -> object:
    """What does not hang on where in the log, and how often a command was tried."""
    error = record.error
    if error is not None and error.reason == "COMMAND_FAILED":
        error = ErrorRecord(kind=error.kind, reason=error.reason, message=error.message)
    return replace(record, position=0, attempts=0, error=error)


def expected_of(commands: Sequence[CommandEnvelope]) -> dict[str, object]:
    """What comes of the commands one by one, when nothing fails."""
    store = MemoryWriteStore(store_id=STORE_ID)
    executor = executor_over(store)
    for command in commands:
        executor.execute([command])
    records = records_of(store, *(command.command_id for command in commands))
    return {command_id: essence(record) for command_id, record in records.items()}


def check_walk(
    store: WriteStore, steps: Sequence[Step], *, retry_room: int, aggregates_max: int
) -> None:
    def new_executor(over: WriteStore) -> ThingExecutor:
        return executor_over(
            over,
            aggregates_max=aggregates_max,
            attempts_max=ATTEMPTS_MAX,
            retry_room=retry_room,
            every_events=2,
            handlers=HANDLERS,
        )

    bus = SmallBus(store, new_executor)
    streams = [a_stream("thing") for _ in range(STREAMS)]
    for step in without_excess_of_faults(steps):
        take(bus, step, streams)
    bus.drain()
    ids = [command.command_id for command in bus.sent]
    records = records_of(store, *ids)
    assert {i: essence(record) for i, record in records.items()} == expected_of(
        bus.sent
    )
    effects: dict[str, int] = {}
    for event in log_of(store):
        command_id = event.trace.causation_id
        effects[command_id] = effects.get(command_id, 0) + 1
    assert effects == {i: r.event_count for i, r in records.items() if r.event_count}
    failed = {i for i, record in records.items() if record.stage.value == "failed"}
    assert requests_of(store, *ids).keys() == failed
    for number in range(len(bus.sent)):
        bus.repeat(number)
    bus.drain()
    assert records_of(store, *ids) == records
    # Only now has each an answer: one that was stored may have been executed, and its process have
    # ended before it could tell.
    assert bus.answers == records


WALKS = st.lists(STEPS, min_size=1, max_size=25)


@settings(deadline=None, max_examples=150)
@given(
    steps=WALKS,
    retry_room=st.sampled_from([0, 1, 100]),
    aggregates_max=st.sampled_from([0, 1, 100]),
)
def test_each_command_has_one_effect_and_one_answer_through_all_faults_in_memory(
    steps: list[Step], retry_room: int, aggregates_max: int
) -> None:
    store = MemoryWriteStore(store_id=STORE_ID)
    check_walk(store, steps, retry_room=retry_room, aggregates_max=aggregates_max)


@settings(deadline=None, max_examples=25, phases=WITHOUT_SHRINKING)
@given(steps=WALKS, retry_room=st.sampled_from([0, 1, 100]))
def test_each_command_has_one_effect_and_one_answer_through_all_faults_on_sqlite(
    steps: list[Step], retry_room: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, sqlite_store(Path(folder)) as store:
        check_walk(store, steps, retry_room=retry_room, aggregates_max=2)
