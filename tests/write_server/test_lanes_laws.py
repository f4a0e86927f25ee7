"""The lanes of the command queue: order and counters, whatever happens."""

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from eventcore.messages import Lane, StreamId
from tests.write_server.lane_entries import STREAMS, a_stored, an_entry
from write_server.entries import Entry, Place
from write_server.lanes import (
    Lanes,
)
from write_server.rules import LaneRule


class LanesMachine(RuleBasedStateMachine):
    """Lanes beside a model that is as simple as can be: for each stream, its commands in order."""

    CAPACITY = 4
    RULES: ClassVar = dict.fromkeys(Lane, LaneRule(capacity=CAPACITY))

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(self.RULES)
        self.order: dict[StreamId, list[Entry]] = {stream: [] for stream in STREAMS}
        self.held: list[Entry] = []
        self.taken: list[Entry] = []

    @rule(
        stream=st.sampled_from(STREAMS),
        wanted=st.sampled_from(Lane),
        kind=st.sampled_from(["memory", "of a stream", "storing", "stored", "held"]),
    )
    def come_in(self, stream: StreamId, wanted: Lane, kind: str) -> None:
        lane = self.lanes.lane_for(stream, wanted)
        entry = an_entry(lane, stream, of_stream=kind == "of a stream")
        if kind == "held":
            self.lanes.hold(entry)
            self.held.append(entry)
        elif kind == "stored":
            self._put(a_stored(lane, stream))
        elif kind == "storing" or self.lanes.must_be_stored(stream):
            self._put(entry, store=True)
        elif self.lanes.depth(lane) < self.CAPACITY:
            self._put(entry)

    def _put(self, entry: Entry, *, store: bool = False) -> None:
        if store or entry.stored:
            for earlier in self.lanes.in_memory_alone_of([entry.stream]):
                self.lanes.store(earlier)
        self.lanes.put(entry, store=store)
        self.order[entry.stream].append(entry)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), gets_in=st.booleans())
    def end_holding(self, data: st.DataObject, *, gets_in: bool) -> None:
        entry = data.draw(st.sampled_from(self.held))
        self.held.remove(entry)
        if gets_in and self.lanes.depth(entry.lane) < self.CAPACITY:
            self._put(entry, store=self.lanes.must_be_stored(entry.stream))
        else:
            self.lanes.let_go(entry)

    @rule(count_max=st.integers(0, 6))
    def take(self, count_max: int) -> None:
        for entry in self.lanes.take(count_max):
            assert self.order[entry.stream].pop(0) is entry
            self.taken.append(entry)

    @rule(stored=st.booleans())
    def end_storing(self, *, stored: bool) -> None:
        for entries in self.order.values():
            for entry in [e for e in entries if e.place is Place.STORING]:
                if stored:
                    self.lanes.stored(entry)
                elif entry.holds_slot:
                    self.lanes.store_failed(entry)
                else:
                    self.lanes.remove(entry)
                    entries.remove(entry)

    @precondition(lambda self: self.taken)
    @rule(outcome=st.sampled_from(["settled", "broke", "away"]))
    def end_batch(self, outcome: str) -> None:
        """Commands come to an end in the order in which they were taken, as of one writer."""
        taken, self.taken = self.taken, []
        for entry in taken:
            if outcome == "settled" or (outcome == "away" and not entry.stored):
                self.lanes.settled(entry)
        if outcome == "away":
            again = [entry for entry in taken if entry.stored]
            self.lanes.put_back(again)
            for entry in reversed(again):
                self.order[entry.stream].insert(0, entry)
        if outcome == "broke":
            for stream in STREAMS:
                self._break([entry for entry in taken if entry.stream == stream])

    def _break(self, chain: list[Entry]) -> None:
        if not chain:
            return
        for entry in chain:
            if not entry.stored:
                self.lanes.broke(entry)
        for entry in self.lanes.park(chain):
            self.lanes.store(entry)
        self.order[chain[0].stream][:0] = chain

    @rule(stream=st.sampled_from(STREAMS))
    def try_again(self, stream: StreamId) -> None:
        if self.lanes.is_parked(stream):
            self.lanes.unpark(stream)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        alone = self.lanes.in_memory_alone()
        if alone:
            entry = data.draw(st.sampled_from(alone))
            self.lanes.remove(entry)
            self.order[entry.stream].remove(entry)

    @invariant()
    def every_count_is_that_of_the_commands(self) -> None:
        inside = [*self.taken, *(e for es in self.order.values() for e in es)]
        for lane in Lane:
            mine = [entry for entry in inside if entry.lane is lane]
            slots = [entry for entry in mine if entry.holds_slot]
            assert self.lanes.depth(lane) == len(slots) <= self.CAPACITY
            assert self.lanes.depth_of_streams(lane) == sum(e.of_stream for e in slots)
            assert self.lanes.backlog(lane) == sum(
                entry.stored or entry.place is Place.STORING for entry in mine
            )
            assert self.lanes.waiting(lane) == sum(
                entry.place in (Place.QUEUED, Place.STORING)
                and not self.lanes.is_parked(entry.stream)
                for entry in mine
            )

    @invariant()
    def a_stream_that_waits_is_bound_to_one_lane(self) -> None:
        for stream, entries in self.order.items():
            waiting = [*entries, *(e for e in self.held if e.stream == stream)]
            lanes = {entry.lane for entry in waiting}
            assert len(lanes) <= 1
            alone = [entry for entry in entries if entry.waits_in_memory_alone]
            assert self.lanes.count_alone([stream]) == len(alone)
            assert self.lanes.in_memory_alone_of([stream]) == alone
            assert self.lanes.has_held(stream) == any(
                entry.stream == stream for entry in self.held
            )
            for wanted in Lane:
                assert {self.lanes.lane_for(stream, wanted)} == (lanes or {wanted})

    def teardown(self) -> None:
        for entry in self.held:
            self.lanes.let_go(entry)
        self.held = []
        while self.taken or any(self.order.values()):
            self.end_storing(stored=True)
            for stream in STREAMS:
                self.try_again(stream)
            self.take(10)
            for entry in self.taken:
                self.lanes.settled(entry)
            self.taken = []
        assert not self.lanes._streams
        for lane in Lane:
            counts = (self.lanes.depth, self.lanes.backlog, self.lanes.waiting)
            assert [count(lane) for count in counts] == [0, 0, 0]


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
