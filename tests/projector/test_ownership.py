"""Who has a projection writes it, and nobody else, whatever they still believe."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from eventcore.errors import StoreUnavailable
from projector.heartbeat import LEASE_SECONDS
from projector.runner import ProjectionRunner
from tests.orders.examples import PLACED
from tests.projector.scene import Scene
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND


@pytest.fixture
def other(scene: Scene) -> Iterator[Scene]:
    """Another projector on the same stores, which takes nothing by force."""
    scene.restart(owner="this", seize=False)
    scene.catch_up()
    with closing(Scene(scene.stores)) as other:
        other.log = scene.log
        other.restart(owner="other", seize=False)
        yield other


def owner_of(scene: Scene) -> str:
    with scene.stores.read.begin() as unit:
        ownership = unit.register.ownership("first")
    assert ownership is not None
    return ownership.owner


def following(runner: ProjectionRunner) -> set[bool]:
    return set(runner.following.values())


def test_what_another_one_has_is_left_to_it(scene: Scene, other: Scene) -> None:
    other.catch_up()
    other.log.append(an_id(), PLACED)
    other.work()
    assert other.first.batch_sizes == []
    assert following(other.runner) == {False}
    scene.work()
    assert scene.rows(scene.first) == [1]
    assert owner_of(scene) == "this"


def test_who_stands_still_past_its_lease_can_write_nothing_afterwards(
    scene: Scene, other: Scene
) -> None:
    """As after SIGSTOP and SIGCONT: it does not know that time has passed."""
    scene.log.append(an_id(), PLACED)
    scene.log.now += round(LEASE_SECONDS * SECOND)
    other.catch_up()
    assert owner_of(other) == "other"
    assert other.rows(other.first) == [1]
    scene.log.append(an_id(), PLACED)
    with capture_logs() as logs:
        scene.work()
    assert {line["event"] for line in logs} == {"projection_not_held"}
    assert scene.rows(scene.first) == [1]
    assert following(scene.runner) == {False}
    other.work()
    assert other.rows(other.first) == other.rows(other.second) == [1, 2]


def test_its_heartbeat_is_refused_as_well(scene: Scene, other: Scene) -> None:
    scene.log.now += round(LEASE_SECONDS * SECOND)
    other.catch_up()
    scene.seconds += 1.0
    scene.work()
    assert owner_of(scene) == "other"
    assert following(scene.runner) == {False}


def test_a_sign_of_life_keeps_the_lease(scene: Scene, other: Scene) -> None:
    for _ in range(3 * round(LEASE_SECONDS)):
        scene.pass_time(1)
        other.seconds += 1.0
        other.runner.verify()
    assert owner_of(scene) == "this"


def test_who_waits_takes_over_where_the_other_one_stopped(
    scene: Scene, other: Scene
) -> None:
    other.catch_up()
    scene.log.append(an_id(), PLACED)
    scene.work()
    scene.log.append(an_id(), PLACED)
    other.log.now += round(LEASE_SECONDS * SECOND)
    other.pass_time(1)
    assert owner_of(other) == "other"
    assert other.rows(other.first) == [1, 2]
    assert other.first.batch_sizes == [1]


def test_what_is_given_up_is_taken_at_once(scene: Scene, other: Scene) -> None:
    scene.runner.release()
    other.catch_up()
    assert owner_of(other) == "other"


def test_who_was_away_gets_it_back_and_goes_on_from_what_the_other_one_did(
    scene: Scene, other: Scene
) -> None:
    scene.log.now += round(LEASE_SECONDS * SECOND)
    other.catch_up()
    scene.log.append(an_id(), PLACED)
    scene.work()
    other.work()
    other.runner.release()
    scene.log.append(an_id(), PLACED)
    scene.pass_time(1)
    assert owner_of(scene) == "this"
    assert scene.rows(scene.first) == [1, 2]
    assert scene.first.batch_sizes == [1]


def test_who_owns_the_file_takes_it_from_one_that_is_dead(scene: Scene) -> None:
    scene.catch_up()
    scene.restart(owner="next", seize=True)
    scene.catch_up()
    assert owner_of(scene) == "next"


def test_a_first_sign_of_life_that_is_not_stored_is_given_again(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.read_store.before_commit = [StoreUnavailable()]
    with pytest.raises(StoreUnavailable):
        scene.runner.verify()
    assert following(scene.runner) == {False}
    scene.catch_up()
    assert scene.rows(scene.first) == [1]


def test_who_has_lost_them_while_a_store_was_away_steps_back(
    scene: Scene, other: Scene
) -> None:
    scene.log.now += round(LEASE_SECONDS * SECOND)
    other.catch_up()
    scene.runner.verify()
    assert owner_of(scene) == "other"
    assert following(scene.runner) == {False}
    scene.log.now += round(LEASE_SECONDS * SECOND)
    scene.pass_time(1)
    assert owner_of(scene) == "this"
    assert following(scene.runner) == {True}
