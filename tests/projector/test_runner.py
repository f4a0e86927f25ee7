"""Projections follow the log: each for itself, and never past what they cannot apply."""

import pytest
from structlog.testing import capture_logs

from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    MalformedEvent,
    StartFailed,
    StoreUnavailable,
    UnknownEvent,
)
from eventcore.memory.write_store import MemoryWriteStore
from tests.orders.examples import FIRST_PAYMENT as PAYMENT
from tests.orders.examples import PAID_ORDER, PLACED
from tests.projector.scene import STORE_ID, Scene
from tests.support.envelopes import an_id
from tests.support.order_log import OrderLog, an_order_append


def an_unknown_event() -> UnknownEvent:
    return UnknownEvent(event_id=an_id(), type="Odd", schema_version=3, position=1)


def test_every_event_is_applied_once_and_in_order(scene: Scene) -> None:
    for _ in range(5):
        scene.log.append(an_id(), *PAID_ORDER)
    scene.batch_events_max = 3
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 21))
    assert sum(scene.first.batch_sizes) == 20
    assert max(scene.first.batch_sizes) == 3


def test_the_checkpoint_names_the_last_event(scene: Scene) -> None:
    *_, last = scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    assert scene.checkpoint(scene.first) == Checkpoint(
        projection="first",
        store_id=STORE_ID,
        position=4,
        event_id=last.event_id,
        position_time=last.record_time,
        head_position=4,
        complete_time=scene.log.now,
    )


def test_an_empty_log_has_a_checkpoint_too(scene: Scene) -> None:
    scene.catch_up()
    assert scene.checkpoint(scene.first) == Checkpoint(
        projection="first",
        store_id=STORE_ID,
        complete_time=scene.log.now,
    )
    assert scene.moves == 2


def test_it_goes_on_where_it_was_after_a_restart(scene: Scene) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    scene.log.append(an_id(), PLACED)
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == [1, 2, 3, 4, 5]
    assert scene.first.batch_sizes == [4, 1]


def test_a_crash_between_apply_and_commit_leaves_nothing(scene: Scene) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.read_store.before_commit.append(StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        scene.catch_up()
    assert scene.rows(scene.first) == []
    assert scene.checkpoint(scene.first) is None
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == [1, 2, 3, 4]


@pytest.mark.parametrize("commits", range(5))
def test_a_crash_at_any_commit_leaves_rows_and_checkpoint_in_step(
    scene: Scene, commits: int
) -> None:
    for _ in range(3):
        scene.log.append(an_id(), PLACED, PAYMENT)
    scene.batch_events_max = 2
    scene.restart()
    scene.read_store.before_commit.extend([None] * commits)
    scene.read_store.before_commit.append(StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        scene.catch_up()
    for projection in (scene.first, scene.second):
        checkpoint = scene.checkpoint(projection)
        position = 0 if checkpoint is None else checkpoint.position
        assert scene.rows(projection) == list(range(1, position + 1))
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 7))


def test_it_is_complete_only_at_the_end_of_the_log(scene: Scene) -> None:
    for _ in range(4):
        scene.log.append(an_id(), PLACED)
    scene.batch_events_max = 3
    scene.restart()
    scene.runner.verify()
    assert scene.runner.advance()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (checkpoint.position, checkpoint.head_position) == (3, 4)
    assert checkpoint.complete_time == 0
    assert not scene.runner.advance()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.complete_time == scene.log.now


def test_a_store_that_is_away_stops_no_projection(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.read_store.before_commit.extend([StoreUnavailable(), StoreUnavailable()])
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            scene.catch_up()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == [1]


def test_readers_are_told_of_each_commit_that_moved_a_checkpoint(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    assert scene.moves == 2
    scene.catch_up()
    assert scene.moves == 2
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    assert scene.moves == 4


def test_a_projection_that_fails_stops_alone_before_that_event(scene: Scene) -> None:
    for _ in range(5):
        events = scene.log.append(an_id(), *PAID_ORDER)
    scene.first.poison[14] = RuntimeError("cannot")
    with capture_logs() as logs:
        scene.catch_up()
    assert scene.rows(scene.first) == list(range(1, 14))
    assert scene.rows(scene.second) == list(range(1, 21))
    assert scene.runner.following == {"first": False, "second": True}
    (line,) = logs
    assert line["event"] == "projection_stopped"
    assert (line["projection"], line["position"]) == ("first", 13)
    assert (line["event_position"], line["event_type"]) == (14, "PaymentReceived")
    assert line["error"] == "cannot"
    assert "run a release" in line["remedy"]
    assert events


def test_it_does_not_go_on_by_itself_and_the_other_does(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.first.poison[1] = an_unknown_event()
    scene.catch_up()
    scene.first.poison.clear()
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    assert scene.rows(scene.first) == []
    assert scene.rows(scene.second) == [1, 2]
    assert scene.sample("position", scene.second) == 2
    assert scene.sample("position", scene.first) == 0
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == [1, 2]


def test_an_unknown_event_says_which_and_what_to_do(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.first.poison[1] = an_unknown_event()
    with capture_logs() as logs:
        scene.catch_up()
    assert "at position 1, Odd version 3" in logs[0]["error"]
    assert "run the release that wrote the event" in logs[0]["remedy"]
    assert logs[0]["exc_info"] is None


def test_an_event_whose_payload_is_not_of_its_schema_says_so(scene: Scene) -> None:
    (event,) = scene.log.append(an_id(), PLACED)
    scene.first.poison[1] = MalformedEvent(
        event_id=event.event_id, type=event.type, schema_version=1, position=1
    )
    with capture_logs() as logs:
        scene.catch_up()
    assert "is no OrderPlaced of version 1" in logs[0]["error"]
    assert (logs[0]["event_id"], logs[0]["event_position"]) == (event.event_id, 1)
    assert "put back a write store" in logs[0]["remedy"]
    assert logs[0]["exc_info"] is None


def test_batches_grow_again_behind_a_failure_that_has_passed(scene: Scene) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.first.poison[3] = RuntimeError("for now")
    scene.runner.verify()
    scene.runner.advance()
    scene.first.poison.clear()
    scene.catch_up()
    for _ in range(5):
        scene.log.append(an_id(), PLACED)
    scene.catch_up()
    assert scene.first.batch_sizes == [4, 2, 2, 5]


def test_a_hole_in_the_log_stops_what_comes_to_it(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    with scene.stores.write.begin() as unit:
        unit.events.append([an_order_append(an_id(), PLACED)], now=scene.log.now)
        unit.commit()
    scene.log.append(an_id(), PLACED)
    with capture_logs() as logs:
        scene.catch_up()
    assert scene.rows(scene.first) == []
    assert [line["error"] for line in logs] == [
        "position 2 is missing in the log",
        "position 2 is missing in the log",
    ]
    assert scene.runner.following == {"first": False, "second": False}


def test_another_projector_at_work_stops_this_one(scene: Scene) -> None:
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    with scene.stores.read.begin() as unit:
        moved = Checkpoint(projection="first", store_id=STORE_ID, position=2)
        unit.checkpoints.advance(moved, expected_position=1)
        unit.commit()
    scene.log.append(an_id(), *PAID_ORDER)
    with capture_logs() as logs:
        while scene.runner.advance():
            pass
    assert "another projector has moved it" in logs[0]["error"]
    assert scene.rows(scene.first) == [1]
    assert scene.rows(scene.second) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("other_id", "count"), [(an_id(), 2), (STORE_ID, 1), (STORE_ID, 2), (STORE_ID, 5)]
)
def test_another_log_is_not_followed(scene: Scene, other_id: str, count: int) -> None:
    """Another store, and a copy of this one that is shorter, as long, or longer."""
    scene.log.append(an_id(), PLACED)
    scene.log.append(an_id(), PLACED)
    scene.catch_up()
    other = MemoryWriteStore(store_id=other_id)
    log = OrderLog(other)
    for _ in range(count):
        log.append(an_id(), PLACED)
    scene.stores.reader = other
    scene.restart()
    with pytest.raises(StartFailed, match=r"made from another log.*remove read\.db"):
        scene.catch_up()
    assert scene.rows(scene.first) == [1, 2]
