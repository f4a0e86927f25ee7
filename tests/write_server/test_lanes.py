"""The lanes of the command queue: bounds, order and shares."""

from collections import Counter

import pytest

from eventcore.messages import Lane
from tests.write_server.lane_entries import (
    ROUND,
    STREAMS,
    a_stored,
    an_entry,
    by_lane,
    fill,
    lanes_of,
    put,
)
from write_server.entries import Place
from write_server.lanes import (
    BULK_BESIDE_OTHERS_BATCHES,
    BULK_BESIDE_OTHERS_MAX,
    LANE_WEIGHTS,
)


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
