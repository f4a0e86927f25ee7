"""What holds of the bus whatever happens, in whatever order: it is played against a journal."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from eventcore.command_gateway import Outcome, WaitFor
from eventcore.errors import CommandQueueFull, ShuttingDown, StoreUnavailable
from eventcore.messages import CommandEnvelope, Lane, StreamId
from eventcore.write_administration import FullPolicy
from tests.support.envelopes import a_stream
from tests.write_server.bus import (
    LONG_SECONDS,
    SHORT_SECONDS,
    a_bus,
    a_turn,
    accepted,
    is_empty,
    outcomes_of,
    receipt_of,
)
from tests.write_server.things import Count, a_command
from write_server.command_bus import CommandBus
from write_server.entries import Entry
from write_server.rules import LaneRule

CAPACITY = 6
BACKLOG = 8
HOLDING = 5
STEPS = 120
ATTEMPTS_MAX = 3


@dataclass(slots=True)
class Journal:
    """What a store would hold, and what a writer does with it that fails as it is told to."""

    bus: CommandBus
    chance: random.Random
    faults: float
    accepted: dict[str, int] = field(default_factory=dict)
    """Attempts of those that are stored and not executed."""
    executed: list[str] = field(default_factory=list)
    order: dict[StreamId, list[int]] = field(default_factory=dict)
    """The numbers of the executed commands of each stream."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Of commands, in the order in which the bus took them in."""

    async def work(self) -> None:
        """One round of the writer, with whatever happens meanwhile."""
        work = self.bus._next(self.chance.randint(1, 5))
        if work.to_execute:
            await a_turn()
            self.bus.settle(work.to_execute, self._execute(work.to_execute))
        if work.to_store:
            await a_turn()
            self.bus.stored(work.to_store, self._store(work.to_store))

    def _fails(self) -> bool:
        return self.chance.random() < self.faults

    def _store(self, entries: list[Entry]) -> list[Outcome]:
        if self._fails():
            return [StoreUnavailable()] * len(entries)
        outcomes = []
        for entry in entries:
            assert entry.command_id not in self.accepted
            if entry.command_id in self.executed:
                outcomes.append(receipt_of(entry))
            else:
                self.accepted[entry.command_id] = 0
                outcomes.append(accepted(entry))
        return list(outcomes)

    def _execute(self, entries: list[Entry]) -> list[Outcome]:
        if self._fails():
            return [StoreUnavailable()] * len(entries)
        blocked: set[StreamId] = set()
        return [self._execute_one(entry, blocked) for entry in entries]

    def _execute_one(self, entry: Entry, blocked: set[StreamId]) -> Outcome:
        assert entry.stored == (entry.command_id in self.accepted)
        if entry.command_id in self.executed:
            return receipt_of(entry)  # It was sent again.
        attempts = self.accepted.get(entry.command_id, 0)
        broke = entry.stream not in blocked and self._fails()
        if entry.stream in blocked or (broke and attempts + 1 < ATTEMPTS_MAX):
            blocked.add(entry.stream)
            self.accepted[entry.command_id] = attempts + broke
            return accepted(entry, attempts=attempts + broke)
        self.accepted.pop(entry.command_id, None)
        self.executed.append(entry.command_id)
        self.order.setdefault(entry.stream, []).append(self.numbers[entry.command_id])
        return receipt_of(entry)


def a_random_bus(chance: random.Random) -> CommandBus:
    return a_bus(
        backoff_seconds=0.0,
        rules={
            lane: LaneRule(
                capacity=CAPACITY,
                full_policy=chance.choice(list(FullPolicy)),
                backlog_capacity=BACKLOG,
                holding_max=HOLDING,
                holding_seconds=chance.choice([0.0, SHORT_SECONDS, LONG_SECONDS]),
            )
            for lane in Lane
        },
    )


def watch_admission(bus: CommandBus, journal: Journal) -> None:
    """Has each command numbered as it gets into its lane."""
    put = bus.lanes.put

    def numbered(entry: Entry, *, store: bool = False) -> None:
        journal.numbers[entry.command_id] = len(journal.numbers)
        put(entry, store=store)
        if store:
            assert bus.lanes.backlog(entry.lane) <= BACKLOG

    bus.lanes.put = numbered  # type: ignore[method-assign]


def check_bounds(bus: CommandBus) -> None:
    for lane in Lane:
        assert 0 <= bus.lanes.depth(lane) <= CAPACITY
        assert 0 <= bus.lanes.depth_of_streams(lane) <= CAPACITY // 2
        assert bus.lanes.backlog(lane) >= 0
        assert 0 <= bus.admission.holding(lane) <= HOLDING


def some_envelopes(
    chance: random.Random, streams: list[StreamId], known: list[CommandEnvelope]
) -> list[CommandEnvelope]:
    if known and chance.random() < 0.2:
        return [chance.choice(known)]
    count = chance.choice([1, 1, 1, 2, 3])
    envelopes = [
        a_command(Count(by=1), chance.choice(streams), lane=chance.choice(list(Lane)))
        for _ in range(count)
    ]
    known.extend(envelopes)
    return envelopes


@pytest.mark.parametrize("seed", range(60))
async def test_no_command_is_lost_or_passes_another_and_all_callers_are_answered(
    seed: int,
) -> None:
    chance = random.Random(seed)
    bus = a_random_bus(chance)
    journal = Journal(bus, chance, faults=chance.choice([0.0, 0.1, 0.4]))
    watch_admission(bus, journal)
    streams = [a_stream() for _ in range(chance.choice([1, 3, 10]))]
    known: list[CommandEnvelope] = []
    calls: list[asyncio.Task[list[Outcome | None]]] = []
    sent: list[list[CommandEnvelope]] = []
    for _ in range(STEPS):
        match chance.choice(["send", "send", "send", "work", "cancel", "pause"]):
            case "send":
                of_stream = chance.random() < 0.3
                envelopes = some_envelopes(chance, streams, known)
                sent.append(envelopes[:1] if of_stream else envelopes)
                calls.append(
                    asyncio.create_task(
                        outcomes_of(
                            bus,
                            sent[-1],
                            chance.choice([0.0, SHORT_SECONDS, LONG_SECONDS]),
                            chance.choice(list(WaitFor)),
                            of_stream=of_stream,
                        )
                    )
                )
            case "work":
                await journal.work()
            case "cancel" if calls:
                chance.choice(calls).cancel()
            case "pause":
                (bus.resume if bus.paused else bus.pause)()
            case _:
                pass  # There is no call to cancel yet.
        if chance.random() < 0.5:
            await a_turn()
        check_bounds(bus)
    await end(bus, journal, close=chance.random() < 0.5)
    results = await asyncio.gather(*calls, return_exceptions=True)
    check_answers(journal, sent, results)


async def end(bus: CommandBus, journal: Journal, *, close: bool) -> None:
    """Works until nothing is left to be done; on a closed bus, what is stored is left."""
    bus.resume()
    await a_turn()
    if close:
        bus.close()
        while not bus._is_drained():
            await journal.work()
        await a_turn()
        assert set(bus._in_flight) == set(journal.accepted)
        return
    async with asyncio.timeout(20):
        while bus._in_flight:
            await journal.work()
            await a_turn()
    assert not journal.accepted
    assert is_empty(bus)


def check_answers(
    journal: Journal,
    sent: list[list[CommandEnvelope]],
    results: list[list[Outcome | None] | BaseException],
) -> None:
    assert len(journal.executed) == len(set(journal.executed))
    for numbers in journal.order.values():
        assert numbers == sorted(numbers)
    on_disk = {*journal.executed, *journal.accepted}
    for envelopes, result in zip(sent, results, strict=True):
        if isinstance(result, BaseException):
            assert isinstance(
                result, CommandQueueFull | ShuttingDown | asyncio.CancelledError
            )
            continue
        for envelope, outcome in zip(envelopes, result, strict=True):
            if not isinstance(outcome, Exception):
                assert envelope.command_id in on_disk
