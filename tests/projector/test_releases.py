"""Releases that know other versions of a read model follow each other."""

import pytest
from structlog.testing import capture_logs

from eventcore.errors import StartFailed
from eventcore.generations import Role, served
from eventcore.memory.write_store import MemoryWriteStore
from projector.runner import RunnerLimits
from tests.orders.examples import PLACED
from tests.projector.examples import CountingProjection
from tests.projector.scene import Scene
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND, OrderLog

DAY = 86_400


def release(scene: Scene, *, version: int) -> None:
    """Another release takes over the stores."""
    scene.first = CountingProjection("first", version=version)
    scene.first.text = f"version {version}"
    scene.restart()


def test_a_newer_version_is_made_beside_the_older_one_and_takes_over(
    scene: Scene,
) -> None:
    scene.log.append_orders(20, PLACED)
    scene.catch_up()
    release(scene, version=2)
    scene.limits = RunnerLimits(batch_events_max=4)
    with capture_logs() as logs:
        scene.runner.verify()
        assert scene.roles(scene.first) == {1: Role.SERVING, 2: Role.BUILDING}
        assert scene.served(scene.first) is None
        scene.work()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert set(scene.texts(scene.first, 2).values()) == {"version 2"}
    begun, taken_over = logs
    assert begun["reason"] == "version 1 was made by an older release"
    assert taken_over["comparison"] is None


def test_the_older_release_goes_on_answering_from_its_own_until_it_is_dropped(
    scene: Scene,
) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    release(scene, version=2)
    scene.catch_up()
    scene.log.append_orders(5, PLACED)
    scene.work()
    of_the_older = served(scene.generations(scene.first), version=1)
    assert of_the_older is not None
    assert of_the_older.number == 1
    # It is as old as it says: the newer release does not know how to apply events to it.
    assert of_the_older.checkpoint.position == 5
    scene.log.now += DAY * SECOND
    scene.pass_time(2)
    assert scene.roles(scene.first) == {2: Role.SERVING}
    assert served(scene.generations(scene.first), version=1) is None


def test_the_other_projections_go_on_meanwhile(scene: Scene) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    release(scene, version=2)
    scene.first.poison[3] = RuntimeError("cannot")
    scene.catch_up()
    scene.log.append_orders(5, PLACED)
    scene.work()
    assert scene.rows(scene.second) == list(range(1, 11))
    assert scene.runner.following == {"first": False, "second": True}


def test_a_crash_while_it_is_made_is_gone_on_from(scene: Scene) -> None:
    scene.log.append_orders(400, PLACED)
    scene.catch_up()
    scene.limits = RunnerLimits(rebuild_events_max=100)
    release(scene, version=2)
    scene.runner.verify()
    scene.runner.advance()
    release(scene, version=2)
    scene.catch_up()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert sum(scene.first.batch_sizes) == 300


def test_a_rebuild_of_an_older_release_is_given_up(scene: Scene) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    scene.rebuild(scene.first)
    release(scene, version=2)
    scene.runner.verify()
    assert scene.roles(scene.first) == {
        1: Role.SERVING,
        2: Role.DROPPING,
        3: Role.BUILDING,
    }


def test_an_older_release_leaves_what_a_newer_one_serves_alone(scene: Scene) -> None:
    release(scene, version=2)
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    release(scene, version=1)
    with capture_logs() as logs:
        scene.catch_up()
    (line,) = logs
    assert line["event"] == "projection_is_of_a_newer_release"
    assert (line["version"], line["version_of_this_release"]) == (2, 1)
    assert scene.runner.following == {"first": False, "second": True}
    assert scene.roles(scene.first) == {1: Role.SERVING}
    scene.log.append_orders(1, PLACED)
    scene.work()
    assert scene.generations(scene.first)[0].checkpoint.position == 5


def test_going_back_to_the_older_release_is_an_operators_word(scene: Scene) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    release(scene, version=2)
    scene.catch_up()
    scene.log.append_orders(5, PLACED)
    scene.work()
    release(scene, version=1)
    scene.catch_up()
    # Its own generation goes on, for its own read servers; the other one still serves the rest.
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first, 1) == list(range(1, 11))
    scene.change(lambda register: register.switch("first", 1, now=scene.log.now))
    assert scene.roles(scene.first) == {1: Role.SERVING, 2: Role.REPLACED}


def test_the_newer_release_takes_up_what_it_had_made_before(scene: Scene) -> None:
    test_going_back_to_the_older_release_is_an_operators_word(scene)
    scene.log.append(an_id(), PLACED)
    scene.work()
    release(scene, version=2)
    scene.catch_up()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first, 2) == list(range(1, 12))
    assert scene.first.batch_sizes == [1]


def test_after_going_back_to_an_older_release_its_own_is_kept(scene: Scene) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    release(scene, version=2)
    scene.catch_up()
    release(scene, version=1)
    with capture_logs() as logs:
        scene.catch_up()
    (line,) = [each for each in logs if each["event"].endswith("of_a_newer_release")]
    assert (line["log_level"], line["generation_of_this_release"]) == ("warning", 1)
    assert "projections rollback" in line["remedy"]
    scene.log.now += 2 * DAY * SECOND
    scene.pass_time(2)
    scene.log.append_orders(5, PLACED)
    scene.work()
    assert scene.rows(scene.first) == list(range(1, 11))


def test_a_log_that_was_swapped_is_noticed_though_every_version_is_new(
    scene: Scene,
) -> None:
    scene.log.append_orders(5, PLACED)
    scene.catch_up()
    other = MemoryWriteStore(store_id=an_id())
    OrderLog(other).append_orders(9, PLACED)
    scene.stores.reader = other
    scene.second = CountingProjection("second", version=2)
    release(scene, version=2)
    with pytest.raises(StartFailed, match="made from another log"):
        scene.runner.verify()
