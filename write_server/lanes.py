"""The lanes of the command queue: who waits, in which order, and who is taken next."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eventcore.messages import Lane, StreamId
from write_server.entries import Entry, Place
from write_server.rules import LaneRule

LANE_WEIGHTS: Mapping[Lane, int] = {Lane.CRITICAL: 8, Lane.NORMAL: 4, Lane.BULK: 1}
"""Shares of the writer while several lanes wait. What one does not use goes to the others."""

BULK_BESIDE_OTHERS_MAX = 8
"""Bulk commands that fill up a batch at most while other lanes are in use. Whoever comes during a
batch waits for its commit, and for all its answers to be sent. A payment beside a full bulk lane
took 13 ms in the middle with this, 20 with 16, 36 with 32 and 740 without a bound, while bulk lost
a tenth from 32 to 8 (`make bursts ARGS="--only lanes"`, 2 cores with their clients)."""

BULK_BESIDE_OTHERS_BATCHES = 64
"""For so many batches the other lanes count as in use after a command of theirs."""


@dataclass(slots=True)
class _Queue:
    rule: LaneRule
    weight: int
    credit: int = 0
    """Turns that are owed to it: they last from batch to batch, so that no batch is too small to
    give every lane its share in the end."""
    waiting: OrderedDict[str, Entry] = field(default_factory=OrderedDict)
    slots: int = 0
    """In use: by commands that are in memory, until their outcome is committed."""
    slots_of_streams: int = 0
    backlog: int = 0
    """Commands that are stored, or are being stored, and not executed yet."""


@dataclass(slots=True)
class _Stream:
    lane: Lane
    entries: dict[Entry, None] = field(default_factory=dict)
    """Those that are not taken, in order; those that are held back come in when they get in."""
    alone: int = 0
    """Those of them that wait in memory alone."""
    held: int = 0
    """Those of them that belong to calls which are held back."""
    parked: bool = False
    """Its first command broke and is tried again later; all wait for that, out of the lane."""


class Lanes:
    """Queues, one a lane, that keep the commands of one stream in order.

    While a stream has a command waiting, its later ones queue behind it in that lane, whatever lane
    they ask for. A lane holds commands of both kinds in one order: those in memory, each with a
    slot until its outcome is committed, and those that are stored, which need none.
    """

    def __init__(self, rules: Mapping[Lane, LaneRule]) -> None:
        self._queues = {
            lane: _Queue(rules[lane], weight) for lane, weight in LANE_WEIGHTS.items()
        }
        self._streams: dict[StreamId, _Stream] = {}
        self._beside_others = 0
        """Batches in which bulk commands still make room for others."""

    def rule(self, lane: Lane) -> LaneRule:
        """What holds in the lane."""
        return self._queues[lane].rule

    def lane_for(self, stream: StreamId, wanted: Lane) -> Lane:
        """The lane that a command of the stream has to queue in."""
        bound = self._streams.get(stream)
        return wanted if bound is None else bound.lane

    def is_parked(self, stream: StreamId) -> bool:
        """Whether the stream waits for a command of it that is tried again."""
        bound = self._streams.get(stream)
        return bound is not None and bound.parked

    def has_held(self, stream: StreamId) -> bool:
        """Whether a command of the stream belongs to a call that is held back."""
        bound = self._streams.get(stream)
        return bound is not None and bound.held > 0

    def must_be_stored(self, stream: StreamId) -> bool:
        """Whether the commands of the stream cannot wait in memory: what comes before them is tried
        again later, or what comes behind them is being stored.
        """
        bound = self._streams.get(stream)
        if bound is None:
            return False
        return bound.parked or any(e.place is Place.STORING for e in bound.entries)

    def depth(self, lane: Lane) -> int:
        """Slots in use."""
        return self._queues[lane].slots

    def depth_of_streams(self, lane: Lane) -> int:
        """Slots in use by StreamCommands."""
        return self._queues[lane].slots_of_streams

    def backlog(self, lane: Lane) -> int:
        """Commands that are stored, or are being stored, and not executed yet."""
        return self._queues[lane].backlog

    def waiting(self, lane: Lane) -> int:
        """Commands in the lane that are not taken yet."""
        return len(self._queues[lane].waiting)

    def per_batch(self, lane: Lane) -> int | None:
        """How many commands of the lane one batch takes; None is as many as it holds."""
        makes_room = lane is Lane.BULK and self._beside_others
        return BULK_BESIDE_OTHERS_MAX if makes_room else None

    def backlog_room(self, lane: Lane) -> int:
        """How many more commands may be stored."""
        queue = self._queues[lane]
        return max(0, queue.rule.backlog_capacity - queue.backlog)

    def oldest_since(self, lane: Lane) -> float | None:
        """When the oldest command came that is not taken; those behind one that is tried again wait
        as well.
        """
        bound = [stream for stream in self._streams.values() if stream.lane is lane]
        return min(
            (e.since for s in bound for e in s.entries if e.place is not Place.HELD),
            default=None,
        )

    def in_memory_alone(self) -> list[Entry]:
        """The commands in the lanes that nobody but this process knows of, in order."""
        return [
            entry
            for queue in self._queues.values()
            for entry in queue.waiting.values()
            if entry.waits_in_memory_alone
        ]

    def in_memory_alone_of(self, streams: Iterable[StreamId]) -> list[Entry]:
        """Those of some streams, in or out of a lane."""
        bound = [self._streams[stream] for stream in streams if stream in self._streams]
        return [
            entry
            for stream in bound
            if stream.alone
            for entry in stream.entries
            if entry.waits_in_memory_alone
        ]

    def count_alone(self, streams: Iterable[StreamId]) -> int:
        """How many those are, without a look at each."""
        bound = (self._streams.get(stream) for stream in streams)
        return sum(stream.alone for stream in bound if stream is not None)

    def hold(self, entry: Entry) -> None:
        """Has the later commands of its stream come behind a command that is not in a lane yet."""
        bound = self._bind(entry)
        bound.held += not entry.of_stream
        entry.place = Place.HELD

    def let_go(self, entry: Entry) -> None:
        """Undoes `hold`."""
        self._unbind(entry)
        entry.place = Place.NEW

    def put(self, entry: Entry, *, store: bool = False) -> None:
        """Queues a command, in the lane that `lane_for` has named, at its end.

        Args:
            entry: New or held. One that is stored goes to the backlog.
            store: It is going to be stored, and needs no slot.
        """
        if entry.place is Place.HELD:
            # Commands of its stream may have passed it: they came by calls, and it by a stream.
            self.let_go(entry)
        bound = self._bind(entry)
        queue = self._queues[entry.lane]
        if store or entry.stored:
            queue.backlog += 1
        else:
            bound.alone += 1
            self._give_slot(entry, queue)
        entry.place = Place.STORING if store else Place.QUEUED
        if not bound.parked:
            queue.waiting[entry.command_id] = entry
        if entry.lane is not Lane.BULK:
            self._beside_others = BULK_BESIDE_OTHERS_BATCHES

    def store(self, entry: Entry) -> None:
        """Marks a command that waits in memory as one that is being stored."""
        entry.place = Place.STORING
        self._streams[entry.stream].alone -= 1
        self._queues[entry.lane].backlog += 1

    def stored(self, entry: Entry) -> None:
        """Notes that a command is on disk: it waits on without a slot and without its content."""
        entry.place = Place.QUEUED
        entry.stored = True
        entry.envelope = None
        self.release(entry)

    def broke(self, entry: Entry) -> None:
        """Notes that a taken command is on disk now, to be tried again or to wait behind one."""
        self.release(entry)
        entry.stored = True
        entry.envelope = None
        self._queues[entry.lane].backlog += 1

    def store_failed(self, entry: Entry) -> None:
        """Takes `store` back."""
        entry.place = Place.QUEUED
        self._streams[entry.stream].alone += 1
        self._queues[entry.lane].backlog -= 1

    def remove(self, entry: Entry) -> None:
        """Takes a command out that is not taken, with all that it holds."""
        self._queues[entry.lane].waiting.pop(entry.command_id, None)
        self._unbind(entry)
        self.release(entry)
        if entry.stored or entry.place is Place.STORING:
            self._queues[entry.lane].backlog -= 1

    def release(self, entry: Entry) -> None:
        """Gives back the slot of a command, if it holds one."""
        if entry.holds_slot:
            entry.holds_slot = False
            queue = self._queues[entry.lane]
            queue.slots -= 1
            queue.slots_of_streams -= entry.of_stream

    def settled(self, entry: Entry) -> None:
        """Gives back all that a taken command holds: its outcome is known."""
        self.release(entry)
        if entry.stored:
            self._queues[entry.lane].backlog -= 1

    def take(self, count_max: int) -> list[Entry]:
        """The next commands to execute. One that may have ended a process comes alone."""
        taken: list[Entry] = []
        bulk = self._queues[Lane.BULK]
        # What bulk takes in its own turns, while others wait, is its share; this is for the rest.
        bulk_room = self.per_batch(Lane.BULK) or count_max
        self._beside_others = max(0, self._beside_others - 1)
        while len(taken) < count_max:
            active = [queue for queue in self._queues.values() if _is_ready(queue)]
            if not active or (_is_alone(bulk, active) and not bulk_room):
                break
            queue = active[0] if len(active) == 1 else _next(active)
            command_id, entry = next(iter(queue.waiting.items()))
            if entry.is_suspect and taken:
                # Its lane has not had this turn: it is still owed to it when the next batch begins.
                break
            if len(active) > 1:
                _charge(active, queue)
            del queue.waiting[command_id]
            self._unbind(entry)
            entry.place = Place.TAKEN
            bulk_room -= _is_alone(bulk, active)
            taken.append(entry)
            if entry.is_suspect:
                break
        return taken

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Puts stored commands that were taken, and came to nothing, first in their lanes again."""
        by_stream: dict[StreamId, list[Entry]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream, []).append(entry)
        for chain in by_stream.values():
            self._bind_first(chain)
        for entry in reversed(entries):
            if not self._streams[entry.stream].parked:
                self._put_first(entry)

    def park(self, entries: Sequence[Entry]) -> list[Entry]:
        """Takes the commands of a stream out of its lane until `unpark`.

        Args:
            entries: Those that the writer had, in order. They are stored.

        Returns:
            Those behind them that are in memory alone, in order.
        """
        self._bind_first(entries)
        return self._park(entries[0].stream)

    def park_stored(self) -> list[Entry]:
        """Takes all that is stored, or is being stored, out of the lanes, and what is behind it.

        Returns:
            Those behind it that are in memory alone, in order.
        """
        streams = [
            stream
            for stream, bound in self._streams.items()
            if any(e.stored or e.place is Place.STORING for e in bound.entries)
        ]
        return [entry for stream in streams for entry in self._park(stream)]

    def unpark(self, stream: StreamId) -> None:
        """Puts the commands of a stream back into its lane, first."""
        bound = self._streams[stream]
        bound.parked = False
        for entry in reversed(bound.entries):
            if entry.place is not Place.HELD:
                self._put_first(entry)

    def clear(self) -> None:
        """Forgets all commands."""
        self._streams.clear()
        for queue in self._queues.values():
            queue.waiting.clear()
            queue.slots = queue.slots_of_streams = queue.backlog = queue.credit = 0

    def _bind(self, entry: Entry) -> _Stream:
        bound = self._streams.get(entry.stream)
        if bound is None:
            bound = self._streams[entry.stream] = _Stream(entry.lane)
        bound.entries[entry] = None
        return bound

    def _bind_first(self, chain: Sequence[Entry]) -> None:
        """Has commands of one stream, which were taken and are stored, come before its others."""
        stream = chain[0].stream
        bound = self._streams.setdefault(stream, _Stream(chain[0].lane))
        bound.entries = dict.fromkeys(chain) | bound.entries
        for entry in chain:
            # A later command of the stream may have come in by another lane meanwhile.
            self._move_to(entry, bound.lane)
            entry.place = Place.QUEUED

    def _unbind(self, entry: Entry) -> None:
        bound = self._streams[entry.stream]
        del bound.entries[entry]
        bound.alone -= entry.waits_in_memory_alone
        bound.held -= entry.place is Place.HELD and not entry.of_stream
        if not bound.entries and not bound.parked:
            del self._streams[entry.stream]

    def _park(self, stream: StreamId) -> list[Entry]:
        bound = self._streams[stream]
        bound.parked = True
        waiting = self._queues[bound.lane].waiting
        for entry in bound.entries:
            waiting.pop(entry.command_id, None)
        return self.in_memory_alone_of([stream])

    def _give_slot(self, entry: Entry, queue: _Queue) -> None:
        entry.holds_slot = True
        queue.slots += 1
        queue.slots_of_streams += entry.of_stream

    def _put_first(self, entry: Entry) -> None:
        waiting = self._queues[entry.lane].waiting
        waiting[entry.command_id] = entry
        waiting.move_to_end(entry.command_id, last=False)

    def _move_to(self, entry: Entry, lane: Lane) -> None:
        """Counts a stored command in another lane, that of its stream."""
        self._queues[entry.lane].backlog -= 1
        entry.lane = lane
        self._queues[lane].backlog += 1


def _is_ready(queue: _Queue) -> bool:
    """Whether its first command can be taken: one that is being stored has its place, and keeps it
    until it is.
    """
    for entry in queue.waiting.values():
        return entry.place is not Place.STORING
    return False


def _is_alone(queue: _Queue, active: Sequence[_Queue]) -> bool:
    return len(active) == 1 and active[0] is queue


def _next(active: Sequence[_Queue]) -> _Queue:
    """Whose turn it is: weighted round robin, as evenly as can be."""
    chosen = active[0]
    for queue in active:
        if queue.credit + queue.weight > chosen.credit + chosen.weight:
            chosen = queue
    return chosen


def _charge(active: Sequence[_Queue], chosen: _Queue) -> None:
    """Gives each its share of a turn, and has the one whose turn it was pay for it."""
    for queue in active:
        queue.credit += queue.weight
        chosen.credit -= queue.weight
