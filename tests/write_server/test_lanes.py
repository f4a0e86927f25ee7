"""The lanes of the command queue: bounds, order and shares."""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from eventcore.messages import Lane, StreamId
from tests.support.envelopes import a_stream, an_id
from tests.write_server.bus import queued
from tests.write_server.things import a_command
from write_server.entries import Entry, Place, fresh_entry, stored_entry
from write_server.lanes import (
    BULK_BESIDE_OTHERS_BATCHES,
    BULK_BESIDE_OTHERS_MAX,
    LANE_WEIGHTS,
    Lanes,
)
from write_server.rules import LaneRule

ROUND = sum(LANE_WEIGHTS.values())
"""Commands in which every lane that waits gets exactly its weight."""

STREAMS = [a_stream() for _ in range(4)]


def lanes_of(capacity: int = 10_000) -> Lanes:
    return Lanes(dict.fromkeys(Lane, LaneRule(capacity=capacity)))


def an_entry(
    lane: Lane = Lane.NORMAL, stream: StreamId | None = None, *, of_stream: bool = False
) -> Entry:
    return fresh_entry(
        a_command(stream=stream, lane=lane), now=0.0, of_stream=of_stream
    )


def a_stored(
    lane: Lane = Lane.NORMAL, stream: StreamId | None = None, *, attempts: int = 0
) -> Entry:
    command = queued(an_id(), stream, lane=lane, attempts=attempts)
    return stored_entry(command, since=0.0)


def fill(lanes: Lanes, lane: Lane, count: int) -> list[Entry]:
    """Queues commands of as many streams."""
    return put(lanes, *(an_entry(lane) for _ in range(count)))


def put(lanes: Lanes, *entries: Entry) -> list[Entry]:
    for entry in entries:
        lanes.put(entry)
    return list(entries)


def by_lane(entries: Iterable[Entry]) -> dict[Lane, int]:
    return dict(Counter(entry.lane for entry in entries))


def test_a_lane_is_taken_in_the_order_in_which_it_was_filled() -> None:
    lanes = lanes_of()
    items = fill(lanes, Lane.NORMAL, 7)
    assert lanes.take(3) + lanes.take(3) + lanes.take(3) == items


def test_an_empty_queue_gives_nothing() -> None:
    assert lanes_of().take(10) == []


def test_a_slot_is_held_until_it_is_released() -> None:
    lanes = lanes_of(capacity=1)
    (item,) = fill(lanes, Lane.NORMAL, 1)
    assert lanes.depth(Lane.NORMAL) == 1
    assert lanes.take(1) == [item]
    assert (lanes.waiting(Lane.NORMAL), lanes.depth(Lane.NORMAL)) == (0, 1)
    lanes.settled(item)
    assert lanes.depth(Lane.NORMAL) == 0


def test_a_slot_is_of_one_lane() -> None:
    lanes = lanes_of(capacity=1)
    fill(lanes, Lane.BULK, 1)
    assert [lane for lane in Lane if lanes.depth(lane)] == [Lane.BULK]


def test_a_stored_command_holds_no_slot_and_counts_until_it_is_executed() -> None:
    lanes = lanes_of()
    (item,) = put(lanes, a_stored(Lane.BULK))
    assert (lanes.depth(Lane.BULK), lanes.backlog(Lane.BULK)) == (0, 1)
    assert lanes.take(1) == [item]
    assert lanes.backlog(Lane.BULK) == 1
    lanes.settled(item)
    assert lanes.backlog(Lane.BULK) == 0


def test_a_command_that_is_withdrawn_gives_its_slot_back() -> None:
    lanes = lanes_of(capacity=2)
    first, second = fill(lanes, Lane.NORMAL, 2)
    lanes.remove(first)
    assert lanes.depth(Lane.NORMAL) == 1
    assert lanes.take(2) == [second]


def test_a_stream_keeps_the_lane_in_which_it_waits() -> None:
    lanes = lanes_of()
    put(lanes, an_entry(Lane.BULK, STREAMS[0]))
    assert lanes.lane_for(STREAMS[0], Lane.CRITICAL) is Lane.BULK
    assert lanes.lane_for(STREAMS[1], Lane.CRITICAL) is Lane.CRITICAL


@pytest.mark.parametrize("leaves_by", ["take", "withdraw"])
def test_a_stream_is_free_of_its_lane_once_nothing_of_it_waits(leaves_by: str) -> None:
    lanes = lanes_of()
    items = put(lanes, *(an_entry(Lane.BULK, STREAMS[0]) for _ in range(2)))
    for item, lane in zip(items, (Lane.BULK, Lane.CRITICAL), strict=True):
        if leaves_by == "take":
            lanes.take(1)
        else:
            lanes.remove(item)
        assert lanes.lane_for(STREAMS[0], Lane.CRITICAL) is lane


def test_lanes_that_all_wait_get_their_weights() -> None:
    lanes = lanes_of()
    for lane in Lane:
        fill(lanes, lane, 1000)
    assert by_lane(lanes.take(10 * ROUND)) == {
        lane: 10 * weight for lane, weight in LANE_WEIGHTS.items()
    }


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 12, 13, 100])
def test_every_lane_gets_its_weight_whatever_the_size_of_a_batch(batch: int) -> None:
    lanes = lanes_of()
    for lane in Lane:
        fill(lanes, lane, 2000)
    taken: Counter[Lane] = Counter()
    while taken.total() < 100 * ROUND:
        taken.update(by_lane(lanes.take(batch)))
    for lane, weight in LANE_WEIGHTS.items():
        assert abs(taken[lane] / taken.total() - weight / ROUND) < 0.01


def test_critical_commands_have_their_share_of_the_very_next_batch() -> None:
    lanes = lanes_of()
    fill(lanes, Lane.BULK, 1000)
    lanes.take(100)
    fill(lanes, Lane.CRITICAL, 1000)
    share = LANE_WEIGHTS[Lane.CRITICAL] / (ROUND - LANE_WEIGHTS[Lane.NORMAL])
    assert by_lane(lanes.take(90))[Lane.CRITICAL] >= 90 * share - 1


def test_bulk_moves_while_critical_never_ends() -> None:
    lanes = lanes_of()
    fill(lanes, Lane.BULK, 10)
    for _ in range(10 * ROUND):
        fill(lanes, Lane.CRITICAL, 1)
        lanes.take(1)
    assert lanes.waiting(Lane.BULK) == 0


def test_a_share_that_is_not_used_goes_to_the_others() -> None:
    lanes = lanes_of()
    fill(lanes, Lane.CRITICAL, 2)
    fill(lanes, Lane.NORMAL, 1000)
    assert by_lane(lanes.take(100)) == {Lane.CRITICAL: 2, Lane.NORMAL: 98}


def test_bulk_makes_batches_small_only_while_other_lanes_are_in_use() -> None:
    lanes = lanes_of()
    fill(lanes, Lane.BULK, 10_000)
    assert len(lanes.take(100)) == 100
    fill(lanes, Lane.CRITICAL, 2)
    assert by_lane(lanes.take(100)) == {
        Lane.CRITICAL: 2,
        Lane.BULK: BULK_BESIDE_OTHERS_MAX,
    }
    sizes = [len(lanes.take(100)) for _ in range(BULK_BESIDE_OTHERS_BATCHES)]
    assert sizes[:-1] == [BULK_BESIDE_OTHERS_MAX] * (BULK_BESIDE_OTHERS_BATCHES - 1)
    assert sizes[-1] == 100


def test_a_command_that_may_have_ended_a_process_comes_alone() -> None:
    lanes = lanes_of()
    first, *others = put(
        lanes, an_entry(), a_stored(attempts=1), an_entry(), an_entry()
    )
    assert lanes.take(10) == [first]
    assert lanes.take(10) == [others[0]]
    assert lanes.take(10) == others[1:]


def test_a_suspect_has_its_turn_while_another_lane_never_ends() -> None:
    lanes = lanes_of()
    (suspect,) = put(lanes, a_stored(Lane.BULK, attempts=1))
    for turn in range(3):
        fill(lanes, Lane.CRITICAL, 10 * ROUND)
        if lanes.take(10 * ROUND) == [suspect]:
            return
        assert turn < 2, "it waits for ever"


def test_a_command_that_is_being_stored_keeps_its_place() -> None:
    lanes = lanes_of()
    first, second = fill(lanes, Lane.NORMAL, 2)
    (other,) = fill(lanes, Lane.BULK, 1)
    lanes.store(first)
    assert lanes.take(10) == [other]
    lanes.stored(first)
    assert lanes.take(10) == [first, second]


def test_commands_that_came_to_nothing_are_first_again() -> None:
    lanes = lanes_of()
    items = put(lanes, *(a_stored() for _ in range(5)))
    taken = lanes.take(3)
    lanes.put_back(taken)
    assert lanes.backlog(Lane.NORMAL) == 5
    assert lanes.take(10) == items


def test_a_command_is_put_back_before_those_of_its_stream_in_another_lane() -> None:
    lanes = lanes_of()
    put(lanes, a_stored(Lane.NORMAL, STREAMS[0]))
    taken = lanes.take(1)
    (later,) = put(lanes, an_entry(Lane.BULK, STREAMS[0]))
    lanes.put_back(taken)
    assert (lanes.backlog(Lane.NORMAL), lanes.backlog(Lane.BULK)) == (0, 1)
    assert lanes.take(10) == [*taken, later]


def test_a_parked_stream_is_out_of_its_lane_and_comes_back_first() -> None:
    lanes = lanes_of()
    mine = put(lanes, *(a_stored(stream=STREAMS[0]) for _ in range(3)))
    (other,) = fill(lanes, Lane.NORMAL, 1)
    assert lanes.take(1) == mine[:1]
    assert lanes.park(mine[:1]) == []
    assert lanes.is_parked(STREAMS[0])
    assert lanes.waiting(Lane.NORMAL) == 1
    (late,) = put(lanes, a_stored(stream=STREAMS[0]))
    lanes.unpark(STREAMS[0])
    assert lanes.take(10) == [*mine, late, other]


def test_parking_names_what_is_in_memory_alone() -> None:
    lanes = lanes_of()
    first, stored, alone = put(
        lanes,
        a_stored(stream=STREAMS[0]),
        a_stored(stream=STREAMS[0]),
        an_entry(stream=STREAMS[0]),
    )
    lanes.take(1)
    assert lanes.park([first]) == [alone]
    assert stored.place is Place.QUEUED


def test_all_that_is_stored_leaves_the_lanes_with_what_is_behind_it() -> None:
    lanes = lanes_of()
    put(lanes, a_stored(stream=STREAMS[0]))
    (behind, free) = put(lanes, an_entry(stream=STREAMS[0]), an_entry())
    assert lanes.park_stored() == [behind]
    assert lanes.take(10) == [free]


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
