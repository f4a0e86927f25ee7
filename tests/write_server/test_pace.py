"""How long the queue takes: what callers are told, and who is sent away at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from write_server.pace import (
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
    RETRY_SECONDS_UNMEASURED,
    Pace,
)


def a_pace(*batches: tuple[int, float], batch_commands_max: int = 100) -> Pace:
    pace = Pace(batch_commands_max=batch_commands_max)
    for commands, seconds in batches:
        pace.observe(commands, seconds)
    return pace


def test_before_the_first_batch_nothing_is_known() -> None:
    assert a_pace().seconds_for(1000) == 0
    assert a_pace().retry_seconds(1000) == RETRY_SECONDS_UNMEASURED


def test_a_busy_writer_goes_on_as_it_did() -> None:
    pace = a_pace(*[(100, 0.5)] * 10)
    assert pace.seconds_for(1000) == pytest.approx(5.0)
    assert pace.retry_seconds(1000) == pytest.approx(5.0)


def test_a_burst_after_a_quiet_time_shares_its_commits() -> None:
    pace = a_pace(*[(1, 0.005)] * 100)
    assert pace.seconds_for(100) == pytest.approx(0.005)
    assert pace.seconds_for(1000) == pytest.approx(0.05)


def test_a_few_commands_do_not_take_the_time_of_a_full_batch() -> None:
    pace = a_pace(*[(100, 1.0)] * 10)
    assert pace.seconds_for(5) == pytest.approx(0.05)


def test_the_past_fades() -> None:
    pace = a_pace(*[(100, 10.0)] * 20, *[(100, 0.1)] * 100)
    assert pace.seconds_for(100) == pytest.approx(0.1, rel=0.01)


def test_commands_that_get_a_part_of_each_batch_take_longer() -> None:
    pace = a_pace(*[(100, 0.5)] * 10)
    assert pace.retry_seconds(200, per_batch=50) == pytest.approx(1.0)
    pace = a_pace(*[(10, 0.5)] * 10)
    assert pace.retry_seconds(200) == pytest.approx(1.0)
    assert pace.retry_seconds(200, per_batch=50) == pytest.approx(2.0)


def test_a_retry_is_neither_too_soon_nor_too_late() -> None:
    assert a_pace((100, 0.0001)).retry_seconds(10) == RETRY_SECONDS_MIN
    assert a_pace((1, 100.0)).retry_seconds(1000) == RETRY_SECONDS_MAX


@given(
    fixed=st.floats(0, 0.1),
    each=st.floats(0.00001, 0.1),
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=20),
    commands=st.integers(0, 1000),
)
def test_nobody_is_sent_away_who_would_be_served_in_time(
    fixed: float, each: float, sizes: list[int], commands: int
) -> None:
    pace = a_pace(*[(size, fixed + size * each) for size in sizes])
    full, rest = divmod(commands, 100)
    truth = full * (fixed + 100 * each) + (fixed + rest * each if rest else 0)
    assert pace.seconds_for(commands) <= truth * (1 + 1e-9)
