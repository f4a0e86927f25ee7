"""The bounded command bus: admits commands, or says at once that there is no room.

It lives on the event loop alone and touches no disk. The writer takes batches from it and gives
their outcomes back; each caller waits on a future of its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    EventCoreError,
    ShuttingDown,
)
from eventcore.messages import CommandEnvelope, Lane, StreamId
from write_server.batch import Outcome
from write_server.lanes import Lanes
from write_server.pace import Pace


@dataclass(slots=True, eq=False)
class Entry:
    """A command in the bus, and the calls that wait for it."""

    envelope: CommandEnvelope
    taken: bool = False
    waiters: set[asyncio.Future[Outcome]] = field(default_factory=set)

    @property
    def command_id(self) -> str:
        return self.envelope.command_id

    @property
    def stream(self) -> StreamId:
        return self.envelope.stream

    @property
    def lane(self) -> Lane:
        return self.envelope.lane


class CommandBus:
    """Holds each command from its admission until its outcome is committed."""

    def __init__(self, capacities: Mapping[Lane, int], *, pace: Pace) -> None:
        self.lanes: Lanes[Entry] = Lanes(capacities)
        self._pace = pace
        self._in_flight: dict[str, Entry] = {}
        self._ready = asyncio.Event()
        self._closed = False

    async def submit(
        self, envelope: CommandEnvelope, *, wait_seconds: float
    ) -> Receipt:
        """Queues a command, or joins the same one in flight, and waits for its outcome.

        Raises: as `CommandGateway.execute`.
        """
        entry = self._in_flight.get(envelope.command_id)
        joined = entry is not None
        if entry is None:
            entry = self._admit(envelope, wait_seconds)
        elif entry.envelope.fingerprint != envelope.fingerprint:
            raise CommandIdReused(envelope.command_id)
        outcome = await self._outcome_of(entry, wait_seconds)
        if isinstance(outcome, EventCoreError):
            # Calls that joined get the same error; each begins its own traceback.
            raise outcome.with_traceback(None)
        return replace(outcome, deduplicated=True) if joined else outcome

    async def take(self, count_max: int) -> list[Entry]:
        """The next commands to execute, as soon as there are any; none once it is drained."""
        while True:
            batch = self.lanes.take(count_max)
            if batch or self._closed:
                break
            self._ready.clear()
            await self._ready.wait()
        for entry in batch:
            entry.taken = True
        return batch

    def settle(self, batch: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Gives the outcomes of a batch to those who wait, and its slots back."""
        for entry, outcome in zip(batch, outcomes, strict=True):
            entry.taken = True
            del self._in_flight[entry.command_id]
            self.lanes.release(entry.lane)
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_result(outcome)

    def close(self) -> None:
        """Admits nothing more. What is in the bus is still executed."""
        self._closed = True
        self._ready.set()

    def fail_all(self, error: EventCoreError) -> None:
        """Answers all that is in the bus with an error, once nobody will execute it."""
        self.close()
        entries = list(self._in_flight.values())
        self.lanes.take(len(entries))
        self.settle(entries, [error] * len(entries))

    def _admit(self, envelope: CommandEnvelope, wait_seconds: float) -> Entry:
        if self._closed:
            raise ShuttingDown
        lane = self.lanes.lane_for(envelope.stream, envelope.lane)
        if self.lanes.is_full(lane):
            raise self._full(
                lane, f"the {lane.value} lane of the command queue is full"
            )
        if self._pace.seconds_for(self.lanes.waiting(lane)) > wait_seconds:
            raise self._full(
                lane,
                f"the time to wait would pass in the {lane.value} lane of the command queue",
            )
        if lane is not envelope.lane:
            envelope = replace(envelope, lane=lane)
        entry = Entry(envelope)
        self.lanes.put(entry, lane)
        self._in_flight[envelope.command_id] = entry
        self._ready.set()
        return entry

    async def _outcome_of(self, entry: Entry, wait_seconds: float) -> Outcome:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Outcome] = loop.create_future()
        entry.waiters.add(waiter)
        timer = loop.call_later(wait_seconds, self._expire, entry, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._leave(entry, waiter)
            raise
        finally:
            timer.cancel()

    def _expire(self, entry: Entry, waiter: "asyncio.Future[Outcome]") -> None:
        if entry.taken or waiter.done():
            return
        self._leave(entry, waiter)
        waiter.set_result(
            self._full(
                entry.lane,
                f"the time to wait has passed in the {entry.lane.value} lane of the "
                "command queue",
            )
        )

    def _leave(self, entry: Entry, waiter: "asyncio.Future[Outcome]") -> None:
        """Ends one call's wait; the last one to leave a waiting command withdraws it."""
        if waiter not in entry.waiters:
            return  # Its wait ended a moment ago, and now its caller is gone as well.
        entry.waiters.remove(waiter)
        if not entry.taken and not entry.waiters:
            del self._in_flight[entry.command_id]
            self.lanes.withdraw(entry, entry.lane)

    def _full(self, lane: Lane, message: str) -> CommandQueueFull:
        return CommandQueueFull(
            f"{message}: nothing is stored; retry with the same command_id",
            lane=lane,
            depth=self.lanes.depth(lane),
            capacity=self.lanes.capacity(lane),
            retry_delay_seconds=self._pace.retry_seconds(self.lanes.depth(lane)),
        )
