"""How fast events are applied, and how a rebuild shares the projector's time."""

import pytest

from projector.pace import (
    GAP_SECONDS,
    REBUILD_EVENTS_MIN,
    SLICE_SECONDS,
    Gap,
    Rate,
    Slices,
)


class Clock:
    """Seconds that pass as a test says."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def slices(clock: Clock, *, share: float = 0.5, events_max: int = 5_000) -> Slices:
    return Slices(share=share, events_max=events_max, monotonic=clock)


def test_a_steady_rate_is_soon_told(clock: Clock) -> None:
    rate = Rate(clock)
    told = []
    for _ in range(30):
        clock.seconds += 1
        rate.add(200)
        told.append(rate.tick())
    assert told == sorted(told)
    assert told[-1] == pytest.approx(200, rel=0.01)


def test_what_is_over_is_forgotten(clock: Clock) -> None:
    rate = Rate(clock)
    clock.seconds += 10
    rate.add(5_000)
    assert rate.tick() == 500
    for _ in range(60):
        clock.seconds += 1
        rate.tick()
    assert rate.tick() < 0.01


@pytest.mark.parametrize(("share", "rest"), [(0.5, 0.08), (0.2, 0.32), (0.8, 0.02)])
def test_between_two_transactions_it_rests_for_its_share(
    clock: Clock, share: float, rest: float
) -> None:
    made = slices(clock, share=share)
    made.took(0.08, events=made.events, hurry=False)
    assert made.wait_seconds() == pytest.approx(rest)


def test_in_a_hurry_it_does_not_rest(clock: Clock) -> None:
    made = slices(clock)
    made.took(0.08, events=made.events, hurry=True)
    assert made.wait_seconds() == 0


def test_a_transaction_that_takes_too_long_is_followed_by_a_smaller_one(
    clock: Clock,
) -> None:
    made = slices(clock)
    before = made.events
    made.took(4 * SLICE_SECONDS, events=before, hurry=False)
    assert made.events == before // 4
    for _ in range(10):
        made.took(4 * SLICE_SECONDS, events=made.events, hurry=False)
    assert made.events == REBUILD_EVENTS_MIN


def test_quick_ones_grow_up_to_the_limit(clock: Clock) -> None:
    made = slices(clock, events_max=5_000)
    sizes = []
    for _ in range(5):
        made.took(SLICE_SECONDS / 10, events=made.events, hurry=False)
        sizes.append(made.events)
    assert sizes == [2_000, 4_000, 5_000, 5_000, 5_000]


def test_one_with_little_to_apply_tells_nothing_of_how_much_fits(clock: Clock) -> None:
    made = slices(clock)
    before = made.events
    made.took(SLICE_SECONDS / 1_000, events=3, hurry=False)
    assert made.events == before


def test_the_time_left_is_the_gap_by_the_speed_at_which_it_closes(clock: Clock) -> None:
    gap = Gap(clock)
    gap.observe(10_000)
    clock.seconds += 2
    gap.observe(8_000)
    assert gap.seconds_left == 8
    assert not gap.falling_behind


def test_what_comes_no_nearer_falls_behind_and_has_no_end(clock: Clock) -> None:
    gap = Gap(clock)
    gap.observe(1_000)
    clock.seconds += GAP_SECONDS
    gap.observe(1_001)
    assert gap.falling_behind
    assert gap.seconds_left is None
    clock.seconds += GAP_SECONDS
    gap.observe(500)
    assert not gap.falling_behind
    assert gap.seconds_left == pytest.approx(9.98, 0.01)


def test_what_is_there_does_not_fall_behind(clock: Clock) -> None:
    gap = Gap(clock)
    for _ in range(3):
        gap.observe(0)
        clock.seconds += GAP_SECONDS
    assert (gap.falling_behind, gap.seconds_left) == (False, 0.0)
