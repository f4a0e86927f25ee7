"""How far a projection is, and since when, as its checkpoint and its metrics tell."""

import math

import pytest

from eventcore.errors import StoreUnavailable
from eventcore.freshness import Requirement, is_current, lag_microseconds
from tests.orders.examples import PAID_ORDER, PLACED
from tests.projector.scene import AbsentWriteStore, Scene
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND


def test_standing_at_the_end_is_written_down_now_and_then(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    scene.seconds += 1.0
    scene.runner.advance()
    written_at = scene.log.now
    scene.log.now += 5 * SECOND
    scene.seconds += 0.9
    scene.runner.advance()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.complete_time == written_at
    scene.seconds += 0.2
    scene.runner.advance()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (checkpoint.complete_time, checkpoint.position) == (scene.log.now, 1)


def test_what_is_written_down_was_looked_up_just_before(scene: Scene) -> None:
    """Otherwise it would be as old as the look before, and answers would look old that are not."""
    scene.catch_up()
    for _ in range(5):
        scene.seconds += 1.0
        scene.log.now += SECOND
        scene.runner.advance()
        checkpoint = scene.checkpoint(scene.first)
        assert checkpoint is not None
        assert checkpoint.complete_time == scene.log.now


def test_a_projection_that_stands_still_shows_as_lag(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    scene.first.poison[2] = RuntimeError("cannot")
    scene.log.append(an_id(), PLACED)
    scene.work()
    scene.pass_time(60)
    lag = scene.sample("lag_seconds", scene.first)
    assert lag is not None
    assert lag >= 60
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert scene.log.now - checkpoint.complete_time >= 60 * SECOND


def test_while_the_write_store_is_away_the_metrics_say_how_far_it_is(
    scene: Scene,
) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    scene.log.now += 60 * SECOND
    scene.stores.reader = AbsentWriteStore()
    scene.restart()
    with pytest.raises(StoreUnavailable):
        scene.runner.verify()
    assert scene.runner.following == {"first": False, "second": False}
    assert scene.sample("position", scene.first) == 4
    assert scene.sample("head_position", scene.first) == 4
    lag = scene.sample("lag_seconds", scene.first)
    assert lag is not None
    assert lag >= 60


def test_while_the_write_store_is_away_its_owner_goes_on_reporting(
    scene: Scene,
) -> None:
    scene.catch_up()
    reader, scene.stores.reader = scene.stores.reader, AbsentWriteStore()
    scene.restart()
    for _ in range(3):
        scene.seconds += 1.0
        scene.log.now += SECOND
        with pytest.raises(StoreUnavailable):
            scene.runner.verify()
    with scene.stores.read.begin() as unit:
        ownership = unit.register.ownership("first")
    assert ownership is not None
    assert ownership.heartbeat_time == scene.log.now
    scene.stores.reader = reader


def test_of_what_is_not_made_nobody_knows_the_lag(scene: Scene) -> None:
    scene.stores.reader = AbsentWriteStore()
    scene.restart()
    with pytest.raises(StoreUnavailable):
        scene.runner.verify()
    assert scene.sample("position", scene.first) == 0
    lag = scene.sample("lag_seconds", scene.first)
    assert lag is not None
    assert math.isnan(lag)


def test_what_was_applied_is_counted(scene: Scene) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    assert scene.sample("events_total", scene.first) == 4
    assert scene.sample("batch_seconds_count", scene.first) == 1
    assert scene.sample("head_position", scene.first) == 4


def test_how_fast_it_goes_is_written_down(scene: Scene) -> None:
    scene.catch_up()
    for _ in range(20):
        scene.log.append(an_id(), *PAID_ORDER)
        scene.pass_time(1)
    (generation,) = scene.generations(scene.first)
    assert 3.5 < generation.progress.events_per_second <= 4.5
    scene.pass_time(60)
    (generation,) = scene.generations(scene.first)
    assert generation.progress.events_per_second == 0


def test_a_clock_that_was_set_back_makes_nothing_look_fresh(scene: Scene) -> None:
    hour = 3600 * SECOND
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    scene.log.append(an_id(), PLACED)
    # Events never go back in time; the clock has.
    scene.log.now -= hour
    scene.work()
    scene.pass_time(2)
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.position == 2
    assert checkpoint.position_time > scene.log.now
    assert is_current(checkpoint, now=scene.log.now)
    # Nobody is at work any more, while the clock comes to where it was.
    for later in (60 * SECOND, hour // 2, hour):
        now = scene.log.now + later
        assert lag_microseconds(checkpoint, now=now) == later
        assert not is_current(checkpoint, now=now)


def test_a_time_that_has_not_come_yet_counts_as_lag(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    now = scene.log.now - 60 * SECOND
    assert lag_microseconds(checkpoint, now=now) == 60 * SECOND
    demand = Requirement(max_staleness_seconds=5.0)
    assert demand.lagging(checkpoint, now=now) is not None
