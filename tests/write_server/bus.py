"""A command bus whose writer is the test."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from eventcore.command_gateway import Outcome, Receipt, WaitFor
from eventcore.command_journal import QueuedCommand
from eventcore.errors import EventCoreError, StoreUnavailable
from eventcore.messages import (
    CommandEnvelope,
    CommandStage,
    Fingerprint,
    Lane,
    StreamId,
)
from tests.support.envelopes import a_record, a_stream
from tests.write_server.things import NOW
from write_server.command_bus import CommandBus
from write_server.entries import Entry, Waiting
from write_server.pace import Pace
from write_server.retries import Retries
from write_server.rules import LaneRule

LONG_SECONDS = 60.0
"""A wait that no test sees the end of."""
SHORT_SECONDS = 0.01


def a_bus(
    capacity: int = 10,
    *,
    pace: Pace | None = None,
    backoff_seconds: float = SHORT_SECONDS,
    rules: dict[Lane, LaneRule] | None = None,
    **rule: Any,
) -> CommandBus:
    """A bus whose lanes have one rule, but for those that are given one of their own."""
    common = LaneRule(capacity=capacity, **rule)
    return CommandBus(
        {lane: (rules or {}).get(lane, common) for lane in Lane},
        pace=pace or Pace(batch_commands_max=10),
        retries=Retries(backoff_seconds=backoff_seconds),
    )


def receipt_of(
    entry: Entry, stage: CommandStage = CommandStage.COMMITTED, *, attempts: int = 1
) -> Receipt:
    record = a_record(entry.command_id, entry.stream)
    return Receipt(record=replace(record, stage=stage, attempts=attempts))


def accepted(entry: Entry, *, attempts: int = 0) -> Receipt:
    """What the journal says of a command that it holds, to be executed later."""
    return receipt_of(entry, CommandStage.ACCEPTED, attempts=attempts)


def settle(bus: CommandBus, batch: Sequence[Entry]) -> None:
    bus.settle(batch, [receipt_of(entry) for entry in batch])


def breaks(bus: CommandBus, batch: Sequence[Entry]) -> None:
    """The first command broke, and the others came behind it."""
    attempts = [batch[0].attempts + 1, *(entry.attempts for entry in batch[1:])]
    outcomes = zip(batch, attempts, strict=True)
    bus.settle(batch, [accepted(entry, attempts=count) for entry, count in outcomes])


def store(bus: CommandBus, batch: Sequence[Entry]) -> None:
    bus.stored(batch, [accepted(entry, attempts=entry.attempts) for entry in batch])


def store_fails(bus: CommandBus, batch: Sequence[Entry]) -> None:
    bus.stored(batch, [StoreUnavailable()] * len(batch))


async def to_execute(bus: CommandBus, count_max: int = 10) -> list[Entry]:
    """What the writer executes next, when it has nothing to store."""
    work = await bus.take(count_max)
    assert not work.to_store
    return work.to_execute


async def to_store(bus: CommandBus, count_max: int = 10) -> list[Entry]:
    """What the writer stores next, when it has nothing to execute."""
    work = await bus.take(count_max)
    assert not work.to_execute
    return work.to_store


async def run_dry(bus: CommandBus) -> list[str]:
    """Does all there is to do, and returns the ids in the order of execution."""
    executed: list[str] = []
    while bus._in_flight:
        work = await bus.take(10)
        executed += ids(work.to_execute)
        settle(bus, work.to_execute)
        store(bus, work.to_store)
    return executed


def ids(batch: Sequence[Entry]) -> list[str]:
    return [entry.command_id for entry in batch]


def command_ids(envelopes: Sequence[CommandEnvelope]) -> list[str]:
    return [envelope.command_id for envelope in envelopes]


def queued(
    command_id: str,
    stream: StreamId | None = None,
    *,
    lane: Lane = Lane.NORMAL,
    attempts: int = 0,
) -> QueuedCommand:
    """A command as the journal has it at the start."""
    return QueuedCommand(
        accept_sequence=1,
        command_id=command_id,
        type="Begin",
        stream=stream or a_stream(),
        fingerprint=Fingerprint(version=1, digest=b"digest"),
        lane=lane,
        attempts=attempts,
        accept_time=NOW,
    )


@asynccontextmanager
async def calling(
    *calls: Coroutine[Any, Any, Any],
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Calls that have come as far as they can without the writer."""
    tasks = [asyncio.create_task(call) for call in calls]
    await a_turn()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def a_turn() -> None:
    """Lets everything run that is ready to run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def seconds_pass(seconds: float) -> None:
    """Returns when timers of that time have run."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


async def outcomes_of(
    bus: CommandBus,
    envelopes: Sequence[CommandEnvelope],
    wait_seconds: float = LONG_SECONDS,
    wait_for: WaitFor = WaitFor.COMMITTED,
    *,
    of_stream: bool = False,
) -> list[Outcome | None]:
    """Sends commands together, as the gateway does, and waits for what becomes of each."""
    calls = await bus.submit(
        envelopes, wait_seconds=wait_seconds, wait_for=wait_for, of_stream=of_stream
    )
    await bus.wait([call for call in calls if isinstance(call, Waiting)])
    return [call.outcome() if isinstance(call, Waiting) else call for call in calls]


async def outcome_of(
    bus: CommandBus,
    envelope: CommandEnvelope,
    wait_seconds: float = LONG_SECONDS,
    wait_for: WaitFor = WaitFor.COMMITTED,
    *,
    of_stream: bool = False,
) -> Receipt | None:
    """Sends a command; raises what becomes of it if that is an error."""
    (outcome,) = await outcomes_of(
        bus, [envelope], wait_seconds, wait_for, of_stream=of_stream
    )
    if isinstance(outcome, EventCoreError):
        raise outcome
    return outcome


async def call(
    bus: CommandBus, envelope: CommandEnvelope, wait_seconds: float = LONG_SECONDS
) -> Receipt:
    """Sends a command of which a receipt is expected."""
    receipt = await outcome_of(bus, envelope, wait_seconds)
    assert receipt is not None
    return receipt


def is_empty(bus: CommandBus) -> bool:
    """Whether nothing is left of anything: no command, no count, no stream."""
    counts = [
        count(lane)
        for count in (
            bus.lanes.depth,
            bus.lanes.depth_of_streams,
            bus.lanes.backlog,
            bus.lanes.waiting,
            bus.admission.holding,
        )
        for lane in Lane
    ]
    admission = bus.admission
    held = [*admission._calls.groups(), *admission._streams.groups()]
    left = (bus._in_flight, bus.lanes._streams, admission.to_store, held)
    return not any(counts) and not any(left)


def depths(bus: CommandBus, lane: Lane = Lane.NORMAL) -> tuple[int, int, int]:
    """Slots in use, commands in the backlog, and commands that are held back."""
    lanes = bus.lanes
    return lanes.depth(lane), lanes.backlog(lane), bus.admission.holding(lane)
