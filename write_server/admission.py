"""Who gets into the lanes, and what becomes of those for whom there is no room.

A group of commands is taken in all or none. Each of its commands gets a slot of its lane, or is
stored to be executed later; where there is room for neither, the policy of the lane decides.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eventcore.errors import CommandQueueFull, FieldViolation, InvalidFields
from eventcore.messages import Lane, StreamId
from eventcore.write_administration import FullPolicy
from write_server.entries import Entry, Group
from write_server.holding import Holding
from write_server.lanes import Lanes
from write_server.pace import Pace
from write_server.rules import LaneRule

PAUSED_RETRY_SECONDS = 5.0
"""When to come back while nothing is executed: nobody knows how long that lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shortage:
    """Why a group does not get in."""

    lane: Lane
    why: str
    may_be_held: bool = True
    """False where waiting for room does not help."""
    of_backlog: bool = False
    """It is the backlog that is full, not the lane."""


class Admission:
    """Takes groups of commands into the lanes, or holds them back, or refuses them."""

    def __init__(self, rules: Mapping[Lane, LaneRule], *, pace: Pace) -> None:
        self.lanes = Lanes(rules)
        self.to_store: list[Entry] = []
        """Commands that wait to be stored, in order."""
        self.paused = False
        self.accepted = dict.fromkeys(Lane, 0)
        """Commands that were taken in."""
        self.refused = dict.fromkeys(Lane, 0)
        """Commands for which there was no room."""
        self._pace = pace
        self._calls = Holding()
        self._streams = Holding()
        """Commands of StreamCommands wait apart: they have a share of their own, and their lack of
        room must not hold up calls."""

    def holding(self, lane: Lane) -> int:
        """Commands of calls that are held back until there is room."""
        return self._calls.count(lane)

    def holds_calls(self, stream: StreamId, wanted: Lane) -> bool:
        """Whether a call with a new command would be held back."""
        lane = self.lanes.lane_for(stream, wanted)
        rule = self.lanes.rule(lane)
        if rule.full_policy is not FullPolicy.WAIT:
            return False
        return self._calls.count(lane) > 0 or self.lanes.depth(lane) >= rule.capacity

    def admit(self, group: Group) -> bool:
        """Takes a group in, or holds it back.

        Returns:
            Whether it is in. If not, `group.admitted` is set when it is.

        Raises:
            CommandQueueFull: neither is possible. Nothing is left of the group.
            InvalidFields: a lane never holds as many commands as the group has for it.
        """
        self._bind_to_lanes(group.entries)
        by_lane = _by_lane(group.entries)
        self._check_size(by_lane)
        shortage = self._try(group, by_lane)
        if shortage is None:
            return True
        if group.of_stream:
            self._hold(group, self._streams)
            return False
        if shortage.may_be_held and self._can_hold(by_lane, shortage):
            self._hold(group, self._calls)
            return False
        for entry in group.entries:
            self.refused[entry.lane] += 1
        raise self.full(shortage.lane, shortage.why, of_backlog=shortage.of_backlog)

    def give_up(self, group: Group) -> bool:
        """Ends the wait of a group that is held back, and forgets it; False if it is not held."""
        holding = self._streams if group.of_stream else self._calls
        if not holding.holds(group):
            return False
        holding.remove(group)
        for entry in group.entries:
            self.lanes.let_go(entry)
            entry.group = None
        return True

    def give_up_all(self) -> list[Group]:
        """Ends the wait of all groups that are held back."""
        groups = self._calls.groups() + self._streams.groups()
        return [group for group in groups if self.give_up(group)]

    def let_in(self) -> None:
        """Takes in those that are held back and for whom there is room now."""
        for holding in (self._calls, self._streams):
            # One that stands in several lines may have held up those of a lane that was looked at
            # before it got in.
            while sum(self._let_in_line(lane, holding) for lane in Lane):
                pass

    def spill(self, entries: Sequence[Entry]) -> None:
        """Has commands stored that wait in memory alone."""
        for entry in entries:
            self.lanes.store(entry)
        self.to_store.extend(entries)

    def spill_again(self, entries: Sequence[Entry]) -> list[Entry]:
        """Has those commands stored, before all others, that could not be stored and cannot wait in
        memory; returns them.
        """
        again = [
            entry
            for entry in entries
            if self.paused or self.lanes.must_be_stored(entry.stream)
        ]
        for entry in again:
            self.lanes.store(entry)
        self.to_store[:0] = again
        return again

    def full(
        self, lane: Lane, why: str, *, of_backlog: bool = False
    ) -> CommandQueueFull:
        """That there is no room in a lane, or in its backlog."""
        rule = self.lanes.rule(lane)
        depth = self.lanes.backlog(lane) if of_backlog else self.lanes.depth(lane)
        return CommandQueueFull(
            f"{why}: nothing is stored; retry with the same command_id",
            lane=lane,
            depth=depth,
            capacity=rule.backlog_capacity if of_backlog else rule.capacity,
            retry_delay_seconds=self._retry_seconds(lane, depth),
        )

    def passed(self, lane: Lane) -> CommandQueueFull:
        """That the time to wait has passed in a lane."""
        why = (
            f"the time to wait has passed in the {lane.value} lane of the command queue"
        )
        return self.full(lane, why)

    def _retry_seconds(self, lane: Lane, depth: int) -> float:
        if self.paused:
            return PAUSED_RETRY_SECONDS
        ahead = max(depth, self.lanes.waiting(lane))
        return self._pace.retry_seconds(ahead, per_batch=self.lanes.per_batch(lane))

    def _bind_to_lanes(self, entries: Sequence[Entry]) -> None:
        """Gives each command the lane in which it has to queue."""
        bound: dict[StreamId, Lane] = {}
        for entry in entries:
            lane = bound.get(entry.stream)
            if lane is None:
                lane = self.lanes.lane_for(entry.stream, entry.lane)
                bound[entry.stream] = lane
            entry.lane = lane

    def _check_size(self, by_lane: Mapping[Lane, Sequence[Entry]]) -> None:
        faults = [
            FieldViolation(
                "commands",
                f"has {len(entries)} commands for the {lane.value} lane, which holds "
                f"{self.lanes.rule(lane).capacity}: send fewer at once",
            )
            for lane, entries in by_lane.items()
            if len(entries) > self.lanes.rule(lane).capacity
        ]
        if faults:
            raise InvalidFields(faults)

    def _try(
        self, group: Group, by_lane: Mapping[Lane, Sequence[Entry]]
    ) -> _Shortage | None:
        """Takes the group in if there is room for all of it."""
        storing: list[Entry] = []
        for lane, entries in by_lane.items():
            stored = self._to_be_stored(lane, entries, group)
            if isinstance(stored, _Shortage):
                return stored
            storing.extend(stored)
        later = set(storing)
        if later:
            # What is in memory of the same streams comes first, and so it must on disk.
            self.spill(self.lanes.in_memory_alone_of(_streams_of(storing)))
        for entry in group.entries:
            self.accepted[entry.lane] += 1
            self.lanes.put(entry, store=entry in later)
            if entry in later:
                self.to_store.append(entry)
        return None

    def _to_be_stored(
        self, lane: Lane, entries: Sequence[Entry], group: Group
    ) -> Sequence[Entry] | _Shortage:
        """Those of the entries that are to be stored first; the others have slots."""
        if self._is_behind(lane, entries, group):
            why = f"as many calls wait for the {lane.value} lane as may"
            return _Shortage(lane=lane, why=why)
        stored = [
            entry
            for entry in entries
            if self.paused or self.lanes.is_parked(entry.stream)
        ]
        shortage = self._slot_shortage(lane, len(entries) - len(stored), group)
        if shortage is not None:
            overflows = self.lanes.rule(lane).full_policy is FullPolicy.OVERFLOW
            if group.of_stream or not overflows:
                return shortage
            stored = list(entries)
        if not stored:
            return stored
        spilled = self.lanes.count_alone(_streams_of(stored))
        if len(stored) + spilled > self.lanes.backlog_room(lane):
            why = f"the backlog of the {lane.value} lane is full"
            return _Shortage(lane=lane, why=why, of_backlog=True)
        return stored

    def _is_behind(self, lane: Lane, entries: Sequence[Entry], group: Group) -> bool:
        """Whether the group has to wait behind others that are held back."""
        if group.of_stream:
            return self._streams.is_behind(group, lane)
        if not self._calls.is_behind(group, lane):
            return False
        if group.admitted is not None:
            return True
        if self.lanes.rule(lane).full_policy is FullPolicy.WAIT:
            return True
        # Those in the line wait for room in another lane, for which nobody has to wait here; but
        # the commands of a stream keep their order.
        return any(self.lanes.has_held(entry.stream) for entry in entries)

    def _slot_shortage(self, lane: Lane, count: int, group: Group) -> _Shortage | None:
        """Why there are no slots for that many commands, if there are none."""
        if not count:
            return None
        lanes = self.lanes
        rule = lanes.rule(lane)
        why = f"the {lane.value} lane of the command queue is full"
        if lanes.depth(lane) + count > rule.capacity:
            return _Shortage(lane=lane, why=why)
        if group.of_stream:
            used = lanes.depth_of_streams(lane)
            no_room = used + count > rule.streams_capacity
            return _Shortage(lane=lane, why=why) if no_room else None
        if rule.full_policy is FullPolicy.OVERFLOW and lanes.backlog(lane):
            # Behind a backlog a command would wait for long; on disk it is answered at once.
            return _Shortage(lane=lane, why=why)
        return self._time_shortage(lane, group)

    def _time_shortage(self, lane: Lane, group: Group) -> _Shortage | None:
        """Whether the caller's time would pass in the lane."""
        if group.admitted is not None:
            return None  # It has waited for its room; its calls end by themselves.
        if self._pace.seconds_for(self.lanes.waiting(lane)) <= group.wait_seconds:
            return None
        why = (
            f"the time to wait would pass in the {lane.value} lane of the command queue"
        )
        return _Shortage(lane=lane, why=why, may_be_held=False)

    def _can_hold(
        self, by_lane: Mapping[Lane, Sequence[Entry]], shortage: _Shortage
    ) -> bool:
        if self.lanes.rule(shortage.lane).full_policy is not FullPolicy.WAIT:
            return False
        return all(
            self._calls.count(lane) + len(entries) <= self.lanes.rule(lane).holding_max
            for lane, entries in by_lane.items()
        )

    def _hold(self, group: Group, holding: Holding) -> None:
        group.admitted = asyncio.get_running_loop().create_future()
        for entry in group.entries:
            self.lanes.hold(entry)
            entry.group = group
        holding.add(group)

    def _let_in_line(self, lane: Lane, holding: Holding) -> bool:
        """Takes in all that can be from the front of a line; whether that is any."""
        some = False
        while group := holding.next(lane):
            if self._try(group, _by_lane(group.entries)) is not None:
                break
            holding.remove(group)
            for entry in group.entries:
                entry.group = None
            group.end_holding()
            some = True
        return some


def _streams_of(entries: Sequence[Entry]) -> list[StreamId]:
    """Their streams, each once, in order."""
    return list(dict.fromkeys(entry.stream for entry in entries))


def _by_lane(entries: Sequence[Entry]) -> dict[Lane, list[Entry]]:
    by_lane: dict[Lane, list[Entry]] = {}
    for entry in entries:
        by_lane.setdefault(entry.lane, []).append(entry)
    return by_lane
