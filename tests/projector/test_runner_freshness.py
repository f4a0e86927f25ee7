"""How far a projection is, and since when, as its checkpoint and its metrics tell."""

import math

import pytest

from eventcore.errors import StoreUnavailable
from tests.orders.examples import PAID_ORDER, PLACED
from tests.projector.scene import AbsentWriteStore, Scene
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND


def test_standing_at_the_end_is_written_down_now_and_then(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1000.0
    monkeypatch.setattr("projector.runner.time.monotonic", lambda: seconds)
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    caught_up_at = scene.log.now
    scene.log.now += 5 * SECOND
    seconds += 0.9
    scene.catch_up()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.complete_time == caught_up_at
    seconds += 0.2
    scene.catch_up()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (checkpoint.complete_time, checkpoint.position) == (scene.log.now, 1)


def test_a_projection_that_stands_still_shows_as_lag(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    scene.first.poison[2] = RuntimeError("cannot")
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    scene.log.now += 60 * SECOND
    lag = scene.sample("lag_seconds", scene.first)
    assert lag is not None
    assert lag >= 60


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


def test_of_what_has_no_checkpoint_nobody_knows_the_lag(scene: Scene) -> None:
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
