"""However commands are cut into batches, the log and the outcomes are those of one by one."""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from eventcore.command_gateway import Outcome, Receipt
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandEnvelope, EventEnvelope
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream
from tests.write_server.conftest import STORE_ID, sqlite_store
from tests.write_server.stored import log_of, records_of
from tests.write_server.things import (
    BREAKS_CODEC,
    BREAKS_DECISION,
    BREAKS_FOLD,
    BREAKS_VIEW,
    TRACE,
    Begin,
    Count,
    a_command,
    executor_over,
)

STREAMS = [a_stream("thing") for _ in range(3)]

WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""What fails on a file mostly fails in memory too, where a smaller example is found in no time."""

NUMBERS = st.sampled_from(
    [1, 2, 3, 0, 0, -1, BREAKS_DECISION, BREAKS_CODEC, BREAKS_FOLD, BREAKS_VIEW]
)

COMMANDS = st.builds(
    a_command,
    st.one_of(
        st.just(Begin()),
        st.builds(Count, by=NUMBERS, times=st.integers(1, 3)),
        st.builds(Count, by=NUMBERS),
    ),
    st.sampled_from(STREAMS),
    command_id=st.sampled_from([f"command-{number}" for number in range(15)]),
    expected_version=st.one_of(st.none(), st.none(), st.integers(0, 6)),
)


@dataclass(frozen=True, slots=True)
class Result:
    """All that came of some commands, without what differs from run to run."""

    outcomes: list[object]
    log: list[EventEnvelope]
    records: object


@st.composite
def cuts(draw: st.DrawFn) -> list[list[CommandEnvelope]]:
    """Commands in batches. The ids within one are different, as the bus sees to it."""
    commands = draw(st.lists(COMMANDS, min_size=1, max_size=25))
    batches: list[list[CommandEnvelope]] = [[]]
    for command in commands:
        ids = {other.command_id for other in batches[-1]}
        if command.command_id in ids or draw(st.integers(0, 5)) == 0:
            batches.append([])
        batches[-1].append(command)
    return batches


def comparable(outcome: Outcome) -> object:
    return outcome if isinstance(outcome, Receipt) else (type(outcome), str(outcome))


def result_of(
    store: WriteStore,
    batches: Sequence[Sequence[CommandEnvelope]],
    *,
    aggregates_max: int,
) -> Result:
    executor = executor_over(store, aggregates_max=aggregates_max)
    outcomes = [outcome for batch in batches for outcome in executor.execute(batch)]
    ids = {command.command_id for batch in batches for command in batch}
    return Result(
        [comparable(outcome) for outcome in outcomes],
        [replace(event, event_id="") for event in log_of(store)],
        records_of(store, *ids),
    )


def memory() -> AbstractContextManager[WriteStore]:
    return nullcontext(MemoryWriteStore(store_id=STORE_ID))


def check(
    batches: Sequence[Sequence[CommandEnvelope]],
    store: AbstractContextManager[WriteStore],
    aggregates_max: int,
) -> None:
    one_by_one = [[command] for batch in batches for command in batch]
    with memory() as plain, store as cut:
        assert result_of(cut, batches, aggregates_max=aggregates_max) == result_of(
            plain, one_by_one, aggregates_max=0
        )


@settings(deadline=None, max_examples=150)
@given(batches=cuts(), aggregates_max=st.sampled_from([0, 1, 100]))
def test_batches_are_as_one_by_one_in_memory(
    batches: list[list[CommandEnvelope]], aggregates_max: int
) -> None:
    check(batches, memory(), aggregates_max)


@settings(deadline=None, max_examples=25, phases=WITHOUT_SHRINKING)
@given(batches=cuts(), aggregates_max=st.sampled_from([0, 1, 100]))
def test_batches_are_as_one_by_one_on_sqlite(
    batches: list[list[CommandEnvelope]], aggregates_max: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(batches, sqlite_store(Path(folder)), aggregates_max)


@settings(deadline=None, max_examples=25, phases=WITHOUT_SHRINKING)
@given(batches=cuts(), poisoned=st.sets(st.integers(0, 24)))
def test_values_that_the_database_refuses_are_as_commands_that_never_came(
    batches: list[list[CommandEnvelope]], poisoned: set[int]
) -> None:
    commands = [command for batch in batches for command in batch]
    places = {place for place in poisoned if place < len(commands)}
    # A repeated id needs no room in the database, so that what is new to it is what breaks.
    poison = {
        commands[place].command_id: replace(
            commands[place],
            command_id=f"poison-{place}",
            trace=replace(TRACE, correlation_id="\ud800"),
        )
        for place in places
    }
    mixed = [
        [
            envelope
            for command in batch
            for envelope in (poison.get(command.command_id), command)
            if envelope is not None
        ]
        for batch in batches
    ]
    with tempfile.TemporaryDirectory() as folder, sqlite_store(Path(folder)) as store:
        spoiled = result_of(store, mixed, aggregates_max=100)
    with memory() as plain:
        clean = result_of(plain, batches, aggregates_max=100)
    assert (spoiled.log, spoiled.records) == (clean.log, clean.records)
