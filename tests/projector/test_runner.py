"""Read models follow the log: each for itself, and never past what they cannot apply."""

from contextlib import AbstractContextManager

import pytest
from structlog.testing import capture_logs

from eventcore.checkpoints import Checkpoint
from eventcore.errors import (
    MalformedEvent,
    StartFailed,
    StoreUnavailable,
    UnknownEvent,
)
from eventcore.generations import Skip
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.write_store import WriteSnapshot
from projector.runner import RunnerLimits
from tests.orders.examples import FIRST_PAYMENT as PAYMENT
from tests.orders.examples import PAID_ORDER, PLACED
from tests.projector.scene import STORE_ID, Scene, a_pause
from tests.support.envelopes import an_id
from tests.support.order_log import OrderLog, an_order_append


def an_unknown_event() -> UnknownEvent:
    return UnknownEvent(event_id=an_id(), type="Odd", schema_version=3, position=1)


@pytest.fixture
def at_work(scene: Scene) -> Scene:
    """One whose read models serve, as on most days."""
    scene.catch_up()
    scene.moves = 0
    return scene


def test_every_event_is_applied_once_and_in_order(scene: Scene) -> None:
    for _ in range(5):
        scene.log.append(an_id(), *PAID_ORDER)
    scene.limits = RunnerLimits(batch_events_max=3)
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 21))
    assert sum(scene.first.batch_sizes) == 20
    assert max(scene.first.batch_sizes) == 3


def test_the_checkpoint_names_the_last_event(scene: Scene) -> None:
    *_, last = scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    assert scene.checkpoint(scene.first) == Checkpoint(
        store_id=STORE_ID,
        position=4,
        event_id=last.event_id,
        position_time=last.record_time,
        head_position=4,
        complete_time=scene.log.now,
    )


def test_a_read_model_of_an_empty_log_serves_at_once(scene: Scene) -> None:
    scene.runner.verify()
    assert scene.checkpoint(scene.first) == Checkpoint(
        store_id=STORE_ID, complete_time=scene.log.now
    )
    assert scene.moves == 1


def test_what_is_made_for_the_first_time_serves_only_when_it_is_complete(
    scene: Scene,
) -> None:
    for _ in range(4):
        scene.log.append(an_id(), PLACED)
    scene.limits = RunnerLimits(batch_events_max=3)
    scene.restart()
    scene.runner.verify()
    scene.runner.advance()
    assert scene.served(scene.first) is None
    (made,) = scene.generations(scene.first)
    assert made.checkpoint.position == 3
    assert made.checkpoint.head_position == 4
    scene.work()
    assert scene.rows(scene.first) == [1, 2, 3, 4]
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.complete_time == scene.log.now


def test_what_are_made_for_the_first_time_share_what_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        scene.log.append(an_id(), PLACED)
    scene.limits = RunnerLimits(batch_events_max=2)
    scene.restart()
    scene.runner.verify()
    reads = 0
    snapshot = scene.stores.reader.snapshot

    def counted() -> AbstractContextManager[WriteSnapshot]:
        nonlocal reads
        reads += 1
        return snapshot()

    monkeypatch.setattr(scene.stores.reader, "snapshot", counted)
    scene.runner.advance()
    scene.runner.advance()
    assert reads == 2
    assert scene.first.batch_sizes == scene.second.batch_sizes == [2, 2]


def test_it_goes_on_where_it_was_after_a_restart(scene: Scene) -> None:
    scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    scene.log.append(an_id(), PLACED)
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == [1, 2, 3, 4, 5]
    assert scene.first.batch_sizes == [4, 1]


def test_a_crash_between_apply_and_commit_leaves_nothing(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), *PAID_ORDER)
    scene.read_store.before_commit.append(StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        scene.work()
    assert scene.rows(scene.first) == []
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.position == 0
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == [1, 2, 3, 4]


@pytest.mark.parametrize("commits", range(12))
def test_a_crash_at_any_commit_leaves_rows_and_checkpoint_in_step(
    scene: Scene, commits: int
) -> None:
    for _ in range(3):
        scene.log.append(an_id(), PLACED, PAYMENT)
    scene.limits = RunnerLimits(batch_events_max=2)
    scene.restart()
    scene.read_store.before_commit.extend([None] * commits)
    scene.read_store.before_commit.append(StoreUnavailable())
    try:
        scene.catch_up()
    except StoreUnavailable:
        pass
    else:
        assert commits > 8, "there are that many commits"
    for projection in (scene.first, scene.second):
        for generation in scene.generations(projection):
            position = generation.checkpoint.position
            rows = scene.rows(projection, generation.number)
            assert rows == list(range(1, position + 1))
    scene.read_store.before_commit.clear()
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 7))


def test_it_is_complete_only_at_the_end_of_the_log(at_work: Scene) -> None:
    scene = at_work
    for _ in range(4):
        scene.log.append(an_id(), PLACED)
    scene.limits = RunnerLimits(batch_events_max=3)
    scene.restart()
    scene.runner.verify()
    assert scene.runner.advance() == 0
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (checkpoint.position, checkpoint.head_position) == (3, 4)
    # It held the whole log when its newest event was stored, and not since.
    assert checkpoint.complete_time == checkpoint.position_time < scene.log.now
    scene.runner.advance()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert checkpoint.complete_time == scene.log.now


def test_a_store_that_is_away_stops_no_projection(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), PLACED)
    scene.read_store.before_commit.extend([StoreUnavailable(), StoreUnavailable()])
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            scene.work()
    scene.work()
    assert scene.rows(scene.first) == scene.rows(scene.second) == [1]


def test_readers_are_told_of_each_commit_with_news_for_them(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), PLACED)
    scene.work()
    assert scene.moves == 2
    scene.work()
    assert scene.moves == 2
    scene.pass_time(3)
    assert scene.moves == 2
    scene.log.append(an_id(), PLACED)
    scene.work()
    assert scene.moves == 4


def test_a_projection_that_fails_stops_alone_before_that_event(at_work: Scene) -> None:
    scene = at_work
    for _ in range(5):
        scene.log.append(an_id(), *PAID_ORDER)
    scene.first.poison[14] = RuntimeError("cannot")
    with capture_logs() as logs:
        scene.work()
    assert scene.rows(scene.first) == list(range(1, 14))
    assert scene.rows(scene.second) == list(range(1, 21))
    assert scene.runner.following == {"first": False, "second": True}
    (line,) = logs
    assert line["event"] == "projection_failed"
    assert (line["projection"], line["position"]) == ("first", 13)
    assert (line["event_position"], line["event_type"]) == (14, "PaymentReceived")
    assert line["error"].startswith("RuntimeError: cannot; run a release")
    assert str(line["exc_info"]) == "cannot"
    assert scene.sample("failed", scene.first) == 1
    assert scene.sample("failed", scene.second) == 0


def test_what_has_failed_stays_so_until_an_operator_has_it_go_on(
    at_work: Scene,
) -> None:
    scene = at_work
    scene.log.append(an_id(), PLACED)
    scene.first.poison[1] = an_unknown_event()
    scene.work()
    scene.first.poison.clear()
    scene.log.append(an_id(), PLACED)
    for _ in range(2):
        scene.work()
        assert scene.rows(scene.first) == []
        assert scene.rows(scene.second) == [1, 2]
        assert scene.runner.following == {"first": False, "second": True}
        failure = scene.generations(scene.first)[0].failure
        assert failure is not None
        assert failure.position == 1
        assert "Odd version 3" in failure.message
        # It is kept across restarts.
        scene.restart()
        scene.runner.verify()
    scene.change(lambda register: register.go_on("first", 1))
    scene.work()
    assert scene.rows(scene.first) == [1, 2]
    assert scene.runner.following == {"first": True, "second": True}


def test_an_unknown_event_says_which_and_what_to_do(at_work: Scene) -> None:
    at_work.log.append(an_id(), PLACED)
    at_work.first.poison[1] = an_unknown_event()
    with capture_logs() as logs:
        at_work.work()
    assert "at position 1, Odd version 3" in logs[0]["error"]
    assert "run the release that wrote the event" in logs[0]["error"]
    assert logs[0]["exc_info"] is None


def test_an_event_whose_payload_is_not_of_its_schema_says_so(at_work: Scene) -> None:
    (event,) = at_work.log.append(an_id(), PLACED)
    at_work.first.poison[1] = MalformedEvent(
        event_id=event.event_id, type=event.type, schema_version=1, position=1
    )
    with capture_logs() as logs:
        at_work.work()
    assert "is no OrderPlaced of version 1" in logs[0]["error"]
    assert (logs[0]["event_id"], logs[0]["event_position"]) == (event.event_id, 1)
    assert "put back a write store" in logs[0]["error"]
    assert logs[0]["exc_info"] is None


def test_batches_grow_again_behind_a_failure_that_has_passed(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), *PAID_ORDER)
    scene.first.poison[3] = RuntimeError("for now")
    scene.runner.advance()
    scene.first.poison.clear()
    scene.work()
    for _ in range(5):
        scene.log.append(an_id(), PLACED)
    scene.work()
    assert scene.first.batch_sizes == [4, 2, 2, 5]


def test_a_hole_in_the_log_stops_what_comes_to_it(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), PLACED)
    with scene.stores.write.begin() as unit:
        unit.events.append([an_order_append(an_id(), PLACED)], now=scene.log.now)
        unit.commit()
    scene.log.append(an_id(), PLACED)
    with capture_logs() as logs:
        scene.work()
    # What comes before the hole is sound, and applied.
    assert scene.rows(scene.first) == [1]
    (failed,) = scene.generations(scene.first)
    assert failed.failure is not None
    assert (failed.failure.position, failed.failure.event_id) == (2, "")
    assert len(logs) == 2
    for line in logs:
        assert line["error"].startswith("position 2 is missing in the outbox; put back")
        assert line["event_id"] == ""
    assert scene.runner.following == {"first": False, "second": False}


def prune(scene: Scene, up_to_position: int) -> None:
    with scene.stores.write.begin() as unit:
        unit.outbox.prune(up_to_position=up_to_position, limit=100)
        unit.commit()


def test_what_the_outbox_no_longer_has_is_applied_from_the_log(at_work: Scene) -> None:
    scene = at_work
    for _ in range(5):
        scene.log.append(an_id(), *PAID_ORDER)
    prune(scene, 14)
    scene.limits = RunnerLimits(batch_events_max=3)
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 21))
    assert sum(scene.first.batch_sizes) == 20


def test_an_outbox_that_is_pruned_past_the_checkpoint_loses_nothing(
    at_work: Scene,
) -> None:
    scene = at_work
    scene.log.append(an_id(), *PAID_ORDER)
    scene.catch_up()
    for up_to_position in (4, 9, 16):
        while scene.log.append(an_id(), PLACED)[-1].position < up_to_position:
            pass
        prune(scene, up_to_position)
        scene.catch_up()
    assert scene.rows(scene.first) == scene.rows(scene.second) == list(range(1, 17))


def test_an_event_that_an_operator_had_left_out_is_passed_over(at_work: Scene) -> None:
    scene = at_work
    scene.log.append(an_id(), *PAID_ORDER)
    scene.first.poison[3] = RuntimeError("cannot")
    scene.work()
    skip_failed(scene, "first", 1)
    scene.work()
    assert scene.rows(scene.first) == [1, 2, 4]
    assert scene.sample("skipped_events", scene.first) == 1
    scene.restart()
    scene.catch_up()
    scene.log.append(an_id(), PLACED)
    scene.work()
    assert scene.rows(scene.first) == [1, 2, 4, 5]


def test_a_batch_of_nothing_but_skipped_events_moves_the_checkpoint(
    at_work: Scene,
) -> None:
    scene = at_work
    scene.log.append(an_id(), PLACED)
    scene.first.poison[1] = RuntimeError("cannot")
    scene.work()
    skip_failed(scene, "first", 1)
    scene.work()
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (scene.rows(scene.first), checkpoint.position) == ([], 1)


def skip_failed(scene: Scene, name: str, number: int) -> None:
    """As an operator's word does it."""
    with scene.stores.read.begin() as unit:
        failure = unit.register.generations(name)[number - 1].failure
        assert failure is not None
        unit.register.skip(
            name,
            number,
            Skip(
                position=failure.position,
                event_id=failure.event_id,
                event_type=failure.event_type,
                reason="it is lost",
                time=scene.log.now,
            ),
        )
        unit.register.go_on(name, number)
        unit.commit()
    scene.runner.reload()


def test_what_is_paused_stands_still_and_the_other_goes_on(at_work: Scene) -> None:
    scene = at_work
    scene.change(lambda register: register.set_pause("first", a_pause(scene.log.now)))
    scene.log.append(an_id(), PLACED)
    scene.pass_time(3)
    assert scene.rows(scene.first) == []
    assert scene.rows(scene.second) == [1]
    assert scene.runner.following == {"first": False, "second": True}
    assert scene.sample("paused", scene.first) == 1
    lag = scene.sample("lag_seconds", scene.first)
    assert lag is not None
    assert lag >= 3
    scene.restart()
    scene.catch_up()
    assert scene.rows(scene.first) == []
    scene.change(lambda register: register.set_pause("first", None))
    scene.work()
    assert scene.rows(scene.first) == [1]


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
