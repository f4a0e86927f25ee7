"""The bounded command bus: admits commands, or says at once that there is no room.

It lives on the event loop alone and touches no disk. The writer takes from it what is to be stored
and what is to be executed, and gives the outcomes back; each caller waits on a future of its own.
"""

import asyncio
from collections.abc import Mapping, Sequence

from eventcore.command_gateway import Outcome, Receipt, WaitFor
from eventcore.command_journal import QueuedCommand
from eventcore.errors import (
    CommandIdReused,
    EventCoreError,
    ShuttingDown,
    StoreUnavailable,
)
from eventcore.messages import CommandEnvelope, CommandStage, Instant, Lane, StreamId
from write_server.admission import Admission
from write_server.entries import (
    Entry,
    Group,
    Place,
    Waiting,
    Work,
    fresh_entry,
    stored_entry,
)
from write_server.pace import Pace
from write_server.retries import Retries
from write_server.rules import LaneRule


class CommandBus:
    """Holds each command from its admission until its outcome is committed."""

    def __init__(
        self, rules: Mapping[Lane, LaneRule], *, pace: Pace, retries: Retries
    ) -> None:
        self.admission = Admission(rules, pace=pace)
        self.lanes = self.admission.lanes
        self._retries = retries
        self._in_flight: dict[str, Entry] = {}
        self._ready = asyncio.Event()
        self._storing_rests = False
        """The store is away, and what has to be stored waits for a moment."""
        self.closed = False
        """Nothing is admitted any more, and what is stored is left to the next start."""

    async def submit(
        self,
        envelopes: Sequence[CommandEnvelope],
        *,
        wait_seconds: float,
        wait_for: WaitFor,
        of_stream: bool = False,
    ) -> list[Waiting | EventCoreError | None]:
        """Queues commands, all or none, as soon as there is room for those that are new.

        Returns:
            For each what to wait for, and to leave if nobody waits any more; the error of one that
            is not queued; or None for one that is stored, if no more is waited for.

        Raises:
            CommandQueueFull: there was no room for all of them; nothing is stored.
            InvalidFields: a lane never holds that many.
            ShuttingDown: the bus is closed; nothing is stored.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        fresh: list[Entry] = []
        calls: list[Waiting | EventCoreError | None] = []
        by_id: dict[str, Entry] = {}
        for envelope in envelopes:
            known = self._in_flight.get(envelope.command_id)
            entry = known or by_id.get(envelope.command_id)
            if entry is None:
                entry = fresh_entry(envelope, now=now, of_stream=of_stream)
                by_id[entry.command_id] = entry
                fresh.append(entry)
                calls.append(entry.call(wait_for, joined=False))
            elif entry.fingerprint != envelope.fingerprint:
                calls.append(CommandIdReused(entry.command_id))
            else:
                calls.append(self._join(entry, wait_for, now + wait_seconds))
        if fresh:
            waiting = [call for call in calls if isinstance(call, Waiting)]
            try:
                await self._let_in(Group(fresh, wait_seconds, of_stream))
            except BaseException:
                for call in waiting:
                    self.leave(call)
                raise
            # Flow control holds streams back: there, the time counts from here.
            begin = loop.time() if of_stream else now
            for call in waiting:
                if not call.joined:
                    self._expire_at(begin + wait_seconds, call)
        return calls

    async def watch(self, command_id: str, *, wait_seconds: float) -> None:
        """Waits until a command that is in flight is executed, or for so long; not at all if it is
        not in flight.
        """
        entry = self._in_flight.get(command_id)
        if entry is None:
            return
        deadline = asyncio.get_running_loop().time() + wait_seconds
        call = self._join(entry, WaitFor.COMMITTED, deadline)
        if call is not None:
            await self.wait([call])

    async def wait(self, calls: Sequence[Waiting]) -> None:
        """Waits until all of them have their outcomes; cancelled, it leaves them."""
        try:
            for call in calls:
                await call.waiter
        except asyncio.CancelledError:
            for call in calls:
                self.leave(call)
            raise

    def leave(self, waiting: Waiting) -> None:
        """Ends one call's wait; the last one to leave a command that is in memory alone, and not
        taken, withdraws it.
        """
        entry = waiting.entry
        if waiting in entry.calls:
            del entry.calls[waiting]
            waiting.abandon()
            self._withdraw_if_alone(entry)

    async def take(self, count_max: int) -> Work:
        """What to do next, as soon as there is anything; nothing once the bus is drained."""
        while not self._is_drained():
            if work := self._next(count_max):
                return work
            self._ready.clear()
            await self._ready.wait()
        return Work([], [])

    def stored(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Takes in what became of commands that were to be stored."""
        if not self._in_flight:
            return  # The store broke, and all were answered.
        failed: list[Entry] = []
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                if outcome.record.stage is CommandStage.ACCEPTED:
                    entry.attempts = outcome.record.attempts
                    self.lanes.stored(entry)
                    entry.tell_stored(outcome)
                    continue
            elif entry.holds_slot and isinstance(outcome, StoreUnavailable):
                # It waited in memory before, and does so again.
                self.lanes.store_failed(entry)
                entry.tell_late(outcome)
                failed.append(entry)
                continue
            self.lanes.remove(entry)
            self._end(entry, outcome)
        if failed:
            self._not_stored(failed)
        if self.closed:
            self._leave_stored()
        self._go_on()

    def settle(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Takes in the outcomes of commands that were executed, and gives them to those who wait.

        A receipt that says ACCEPTED is of a command that is tried again, or that comes behind one.
        """
        if not self._in_flight:
            return  # The store broke, and all were answered.
        again: list[Entry] = []
        parked: dict[StreamId, list[Entry]] = {}
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                if outcome.record.stage is CommandStage.ACCEPTED:
                    parked.setdefault(entry.stream, []).append(entry)
                    entry.attempts = outcome.record.attempts
                    entry.tell_stored(outcome)
                    continue
            elif entry.stored:
                # It stands in the journal, and has to come to an end.
                if isinstance(outcome, StoreUnavailable):
                    again.append(entry)
                else:
                    entry.attempts += 1
                    parked.setdefault(entry.stream, []).append(entry)
                continue
            self.lanes.settled(entry)
            self._end(entry, outcome)
        self.lanes.put_back(again)
        for chain in parked.values():
            self._park(chain)
        if self.closed:
            self._leave_stored()
        self._go_on()

    def restore(self, commands: Sequence[QueuedCommand], *, now: Instant) -> None:
        """Takes in commands that are stored and not executed. They have waited since then."""
        loop_now = asyncio.get_running_loop().time()
        for command in commands:
            known = self._in_flight.get(command.command_id)
            if known is not None:
                self._found_stored(known)
                continue
            age_seconds = max(0, now - command.accept_time) / 1_000_000
            entry = stored_entry(command, since=loop_now - age_seconds)
            entry.lane = self.lanes.lane_for(entry.stream, entry.lane)
            self._in_flight[entry.command_id] = entry
            self.lanes.put(entry)
        self._go_on()

    @property
    def paused(self) -> bool:
        """Whether nothing is executed."""
        return self.admission.paused

    def pause(self) -> None:
        """Executes nothing more; all that waits in memory is stored."""
        self.admission.paused = True
        self.admission.spill(self.lanes.in_memory_alone())
        self._go_on()

    def resume(self) -> None:
        """Undoes `pause`."""
        self.admission.paused = False
        self._go_on()

    def close(self) -> None:
        """Admits nothing more. What is in memory is still executed, what is stored stays so."""
        self.closed = True
        self._retries.close()
        self._storing_rests = False
        for group in self.admission.give_up_all():
            self._end_held(group, ShuttingDown())
        self._leave_stored()
        self._ready.set()

    def fail_all(self, error: EventCoreError) -> None:
        """Answers all that is in the bus with an error, once nobody will execute it."""
        self.close()
        for entry in list(self._in_flight.values()):
            self._end(entry, error)
        self.admission.to_store.clear()
        self.lanes.clear()

    async def _let_in(self, group: Group) -> None:
        if self.closed:
            raise ShuttingDown
        admitted = self.admission.admit(group)
        for entry in group.entries:
            self._in_flight[entry.command_id] = entry
        if admitted:
            self._ready.set()
        else:
            await self._held(group)

    async def _held(self, group: Group) -> None:
        """Waits until a group that is held back is let in."""
        assert group.admitted is not None
        if not group.of_stream:
            bound = self.lanes.rule(group.entries[0].lane).holding_seconds
            timer = asyncio.get_running_loop().call_later(
                min(bound, group.wait_seconds), self._end_wait, group
            )
            group.admitted.add_done_callback(lambda _: timer.cancel())
        # Shielded, for others may wait for the same commands when this call is cancelled.
        error = await asyncio.shield(group.admitted)
        if error is not None:
            raise error

    def _end_wait(self, group: Group) -> None:
        """Refuses a group that was held back for as long as it may be."""
        if self.admission.give_up(group):
            for entry in group.entries:
                self.admission.refused[entry.lane] += 1
            self._end_held(group, self.admission.passed(group.entries[0].lane))
            self._go_on()

    def _end_held(self, group: Group, error: EventCoreError) -> None:
        for entry in group.entries:
            self._end(entry, error)
        group.end_holding(error)

    def _withdraw_if_alone(self, entry: Entry) -> bool:
        """Takes a command out that waits in memory alone, and that nobody waits for, and says
        whether it did; or its group that is held back, if nobody waits for any of it.
        """
        if entry.calls:
            return False
        if entry.waits_in_memory_alone:
            del self._in_flight[entry.command_id]
            self.lanes.remove(entry)
            self._go_on()
            return True
        group = entry.group
        if group is not None and not any(other.calls for other in group.entries):
            self.admission.give_up(group)
            self._end_held(group, self.admission.passed(entry.lane))
            self._go_on()
        return False

    def _join(self, entry: Entry, wait_for: WaitFor, deadline: float) -> Waiting | None:
        """Waits for a command that is there already; None if it is stored, and no more than that is
        waited for.
        """
        if entry.stored and (wait_for is WaitFor.ACCEPTED or self.closed):
            return None
        self._expire_at(deadline, waiting := entry.call(wait_for, joined=True))
        return waiting

    def _expire_at(self, deadline: float, waiting: Waiting) -> None:
        if not waiting.waiter.done():
            loop = asyncio.get_running_loop()
            waiting.timer = loop.call_at(deadline, self._expire, waiting)

    def _expire(self, waiting: Waiting) -> None:
        """Ends a wait whose time is over, or has it end with the commit that is under way."""
        entry = waiting.entry
        if not entry.stored and entry.place in (Place.TAKEN, Place.STORING):
            waiting.is_late = True
        elif entry.stored:
            del entry.calls[waiting]
            waiting.end(None)
        else:
            del entry.calls[waiting]
            waiting.end(self.admission.passed(entry.lane))
            self.admission.refused[entry.lane] += self._withdraw_if_alone(entry)

    def _next(self, count_max: int) -> Work:
        count = 0 if self._storing_rests else count_max
        to_store = self.admission.to_store[:count]
        del self.admission.to_store[:count]
        to_execute = [] if self.paused else self.lanes.take(count_max)
        return Work(to_store, to_execute)

    def _is_drained(self) -> bool:
        if not self.closed or self.admission.to_store:
            return False
        return not self.lanes.in_memory_alone()

    def _park(self, chain: list[Entry]) -> None:
        """Has a command tried again later, and those of its stream wait behind it."""
        for entry in chain:
            if not entry.stored:
                self.lanes.broke(entry)
        self.admission.spill(self.lanes.park(chain))
        if not self.closed:
            stream = chain[0].stream
            self._retries.after(chain[0].attempts, lambda: self._unpark(stream))

    def _unpark(self, stream: StreamId) -> None:
        self.lanes.unpark(stream)
        self._go_on()

    def _leave_stored(self) -> None:
        """Leaves what is stored, and what is behind it, to the next start."""
        self.admission.spill(self.lanes.park_stored())
        for entry in self._in_flight.values():
            if entry.stored and entry.place is Place.QUEUED:
                entry.tell(None)

    def _not_stored(self, entries: Sequence[Entry]) -> None:
        """Goes on with commands that wait in memory again, for the store did not take them."""
        if self.closed:
            for entry in entries:
                if self.paused or self.lanes.must_be_stored(entry.stream):
                    self.lanes.remove(entry)
                    self._end(entry, StoreUnavailable())
            return
        if self.admission.spill_again(entries):
            self._storing_rests = True
            self._retries.after(1, self._end_rest)
        for entry in entries:
            self._withdraw_if_alone(entry)

    def _end_rest(self) -> None:
        self._storing_rests = False
        self._ready.set()

    def _found_stored(self, entry: Entry) -> None:
        """Notes that a command which waits as one in memory alone is in the journal."""
        if entry.waits_in_memory_alone:
            self.lanes.store(entry)
            self.lanes.stored(entry)
            entry.tell_stored(None)

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        self._in_flight.pop(entry.command_id, None)
        entry.tell(outcome)

    def _go_on(self) -> None:
        """There may be room now, and something to do."""
        self.admission.let_in()
        self._ready.set()
