"""Projections follow the log: each for itself, and never past what they cannot apply."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StartFailed, StoreUnavailable, UnknownEvent
from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.read_store import ReadStore
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.telemetry import ProjectionMetrics
from eventcore.write_store import WriteSnapshot, WriteStore, WriteStoreReader
from projector.runner import ProjectionRunner
from tests.orders.examples import FIRST_PAYMENT as PAYMENT
from tests.orders.examples import PAID_ORDER, PLACED
from tests.projector.examples import CountingProjection, FailingReadStore
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND, OrderLog, an_order_append

STORE_ID = an_id()


class AbsentWriteStore:
    """A write store that is not made yet."""

    @contextmanager
    def snapshot(self) -> Iterator[WriteSnapshot]:
        raise StoreUnavailable
        yield

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Stores:
    """A log and read models of it."""

    write: WriteStore
    reader: WriteStoreReader
    read: ReadStore


class Scene:
    """A runner with two projections, which can be started again over the same stores."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.log = OrderLog(stores.write)
        self.read_store = FailingReadStore(stores.read)
        self.first = CountingProjection("first")
        self.second = CountingProjection("second")
        self.moves = 0
        self.batch_events_max = 1000
        self.restart()

    def restart(self) -> None:
        """What a crash leaves is what is in the stores."""
        self.registry = CollectorRegistry()
        self.runner = ProjectionRunner(
            projections=[self.first, self.second],
            write_store=self.stores.reader,
            read_store=self.read_store,
            metrics=ProjectionMetrics(self.registry),
            clock=lambda: self.log.now,
            moved=self._moved,
            batch_events_max=self.batch_events_max,
        )

    def catch_up(self) -> None:
        self.runner.verify()
        while self.runner.advance():
            pass

    def checkpoint(self, projection: CountingProjection) -> Checkpoint | None:
        with self.stores.read.begin() as unit:
            return unit.checkpoints.get(projection.name)

    def rows(self, projection: CountingProjection) -> list[int]:
        with self.stores.read.begin() as unit:
            keys = [(position,) for position in range(1, 100)]
            return sorted(key[0] for key in unit.tables.fetch(projection.table, keys))

    def sample(self, metric: str, projection: CountingProjection) -> float | None:
        return self.registry.get_sample_value(
            f"orderes_projection_{metric}", {"projection": projection.name}
        )

    def _moved(self) -> None:
        self.moves += 1


@pytest.fixture(params=["memory", "sqlite"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    if request.param == "memory":
        memory = MemoryWriteStore(store_id=STORE_ID)
        yield Scene(Stores(memory, memory, MemoryReadStore()))
        return
    path = tmp_path / "write.db"
    stores = Stores(
        write=SqlWriteStore(owner_engine(path, durable=True), new_store_id=STORE_ID),
        reader=SqlWriteStoreReader(reader_engine(path)),
        read=SqlReadStore(
            owner_engine(tmp_path / "read.db", durable=False),
            tables=[
                *CountingProjection("first").tables,
                *CountingProjection("second").tables,
            ],
            schema_version=1,
        ),
    )
    reader = stores.reader
    yield Scene(stores)
    reader.close()
    stores.write.close()
    stores.read.close()


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
    scene.first.poison[1] = UnknownEvent(type="Odd", schema_version=3, position=1)
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
    scene.first.poison[1] = UnknownEvent(type="Odd", schema_version=3, position=1)
    with capture_logs() as logs:
        scene.catch_up()
    assert "Odd version 3 at position 1" in logs[0]["error"]
    assert "run the release that wrote the event" in logs[0]["remedy"]
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
