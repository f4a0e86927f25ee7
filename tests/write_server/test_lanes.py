"""The lanes of the command queue: bounds, order and shares."""

import itertools
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
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
from tests.support.envelopes import a_stream
from write_server.lanes import LANE_WEIGHTS, Lanes

_numbers = itertools.count(1_000)

ROUND = sum(LANE_WEIGHTS.values())
"""Commands in which every lane that waits gets exactly its weight."""

STREAMS = [a_stream() for _ in range(4)]


@dataclass(frozen=True, slots=True)
class Item:
    """What waits; numbers grow in the order of admission."""

    number: int
    stream: StreamId
    lane: Lane

    @property
    def command_id(self) -> str:
        return str(self.number)


def lanes_of(capacity: int = 10_000) -> Lanes[Item]:
    return Lanes(dict.fromkeys(Lane, capacity))


def fill(lanes: Lanes[Item], lane: Lane, count: int) -> list[Item]:
    """Queues commands of as many streams."""
    items = [Item(next(_numbers), a_stream(), lane) for _ in range(count)]
    for item in items:
        lanes.put(item, lane)
    return items


def by_lane(items: Iterable[Item]) -> dict[Lane, int]:
    return dict(Counter(item.lane for item in items))


def test_a_lane_is_taken_in_the_order_in_which_it_was_filled() -> None:
    lanes = lanes_of()
    items = fill(lanes, Lane.NORMAL, 7)
    assert lanes.take(3) + lanes.take(3) + lanes.take(3) == items


def test_an_empty_queue_gives_nothing() -> None:
    assert lanes_of().take(10) == []


def test_a_slot_is_held_until_it_is_released() -> None:
    lanes = lanes_of(capacity=1)
    (item,) = fill(lanes, Lane.NORMAL, 1)
    assert lanes.is_full(Lane.NORMAL)
    assert lanes.take(1) == [item]
    assert (lanes.waiting(Lane.NORMAL), lanes.depth(Lane.NORMAL)) == (0, 1)
    assert lanes.is_full(Lane.NORMAL)
    lanes.release(Lane.NORMAL)
    assert not lanes.is_full(Lane.NORMAL)


def test_a_full_lane_leaves_the_others_their_room() -> None:
    lanes = lanes_of(capacity=1)
    fill(lanes, Lane.BULK, 1)
    assert [lane for lane in Lane if lanes.is_full(lane)] == [Lane.BULK]


def test_a_command_that_is_withdrawn_gives_its_slot_back() -> None:
    lanes = lanes_of(capacity=2)
    first, second = fill(lanes, Lane.NORMAL, 2)
    lanes.withdraw(first, Lane.NORMAL)
    assert lanes.depth(Lane.NORMAL) == 1
    assert lanes.take(2) == [second]


def test_a_stream_keeps_the_lane_in_which_it_waits() -> None:
    lanes = lanes_of()
    item = Item(1, STREAMS[0], Lane.BULK)
    lanes.put(item, Lane.BULK)
    assert lanes.lane_for(STREAMS[0], Lane.CRITICAL) is Lane.BULK
    assert lanes.lane_for(STREAMS[1], Lane.CRITICAL) is Lane.CRITICAL


@pytest.mark.parametrize("leaves_by", ["take", "withdraw"])
def test_a_stream_is_free_of_its_lane_once_nothing_of_it_waits(leaves_by: str) -> None:
    lanes = lanes_of()
    items = [Item(number, STREAMS[0], Lane.BULK) for number in (1, 2)]
    for item in items:
        lanes.put(item, Lane.BULK)
    for item, lane in zip(items, (Lane.BULK, Lane.CRITICAL), strict=True):
        if leaves_by == "take":
            lanes.take(1)
        else:
            lanes.withdraw(item, Lane.BULK)
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
    fill(lanes, Lane.BULK, 1000)
    assert by_lane(lanes.take(100)) == {Lane.CRITICAL: 2, Lane.BULK: 98}


class LanesMachine(RuleBasedStateMachine):
    """Lanes beside a model that is as simple as can be."""

    CAPACITIES: ClassVar = {Lane.CRITICAL: 3, Lane.NORMAL: 4, Lane.BULK: 2}

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[Item] = Lanes(self.CAPACITIES)
        self.waiting: dict[Lane, deque[Item]] = {lane: deque() for lane in Lane}
        self.taken: list[Item] = []
        self.last_taken: dict[StreamId, int] = {}
        self.number = 0

    @rule(stream=st.sampled_from(STREAMS), wanted=st.sampled_from(Lane))
    def put(self, stream: StreamId, wanted: Lane) -> None:
        lane = self.lanes.lane_for(stream, wanted)
        if self.lanes.is_full(lane):
            return
        self.number += 1
        item = Item(self.number, stream, lane)
        self.lanes.put(item, lane)
        self.waiting[lane].append(item)

    @rule(count_max=st.integers(0, 6))
    def take(self, count_max: int) -> None:
        waiting = sum(map(len, self.waiting.values()))
        taken = self.lanes.take(count_max)
        assert len(taken) == min(count_max, waiting)
        for item in taken:
            assert self.waiting[item.lane].popleft() == item
            assert self.last_taken.get(item.stream, 0) < item.number
            self.last_taken[item.stream] = item.number
        self.taken += taken

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        item = data.draw(
            st.sampled_from([item for queue in self.waiting.values() for item in queue])
        )
        self.lanes.withdraw(item, item.lane)
        self.waiting[item.lane].remove(item)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.taken))
        self.lanes.release(item.lane)
        self.taken.remove(item)

    @invariant()
    def every_slot_is_accounted_for(self) -> None:
        for lane, capacity in self.CAPACITIES.items():
            held = len(self.waiting[lane]) + by_lane(self.taken).get(lane, 0)
            assert self.lanes.waiting(lane) == len(self.waiting[lane])
            assert self.lanes.depth(lane) == held
            assert held <= capacity
            assert self.lanes.is_full(lane) == (held == capacity)

    @invariant()
    def a_waiting_stream_is_bound_to_one_lane(self) -> None:
        lanes_by_stream: dict[StreamId, set[Lane]] = {}
        for lane, queue in self.waiting.items():
            for item in queue:
                lanes_by_stream.setdefault(item.stream, set()).add(lane)
        for stream in STREAMS:
            for wanted in Lane:
                expected = lanes_by_stream.get(stream, {wanted})
                assert {self.lanes.lane_for(stream, wanted)} == expected


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
