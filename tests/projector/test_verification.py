"""What is wrong with the stores is found, whatever it is, and named."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, Engine, event

from contexts.orders.read.registry import ORDER_PROJECTIONS
from eventcore.errors import StartFailed
from eventcore.generations import Failure, Lease, Role, Skip
from eventcore.messages import EventEnvelope, Instant
from eventcore.projection_register import ProjectionRegister
from eventcore.read_store import ReadUnit
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.telemetry import ProjectionMetrics
from projector.bootstrap import verify
from projector.comparison import Comparisons
from projector.runner import FRESHNESS_SECONDS, ProjectionRunner
from projector.verification import FINDINGS_SHOWN_MAX, OnProgress, Report
from tests.orders.examples import PAID_ORDER, PLACED
from tests.support.envelopes import an_id
from tests.support.order_log import OrderLog

NAMES = [projection.name for projection in ORDER_PROJECTIONS]
TABLES = [
    f"{table.name}_g1"
    for projection in ORDER_PROJECTIONS
    for table in projection.tables
]


class Data:
    """A folder with both stores, as the processes leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._write = SqlWriteStore(
            owner_engine(folder / "write.db", durable=False), new_store_id=an_id()
        )
        self.log = OrderLog(self._write)

    def close(self) -> None:
        self._write.close()

    def project(
        self, change: Callable[[ProjectionRegister], object] = lambda _: None
    ) -> None:
        """Brings the read models to the end of the log, after an operator's change."""
        path = self.folder / "read.db"
        reader = SqlWriteStoreReader(reader_engine(self.folder / "write.db"))
        store = SqlReadStore(owner_engine(path, durable=False))
        comparisons = Comparisons(lambda: SqlReadStoreReader(reader_engine(path)))
        seconds = 0.0
        runner = ProjectionRunner(
            projections=ORDER_PROJECTIONS,
            write_store=reader,
            read_store=store,
            comparisons=comparisons,
            metrics=ProjectionMetrics(CollectorRegistry()),
            clock=lambda: self.log.now,
            moved=lambda: None,
            owner="this",
            seize=True,
            monotonic=lambda: seconds,
        )
        with closing(reader), closing(store), closing(comparisons):
            runner.verify()
            with store.begin() as unit:
                change(unit.register)
                unit.commit()
            runner.reload()
            while (wait_seconds := runner.advance()) < FRESHNESS_SECONDS:
                seconds += wait_seconds

    def spoil(self, name: str, *statements: str) -> None:
        """Changes a database behind everybody's back."""
        path = self.folder / name
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def fail(self, projection: str, failure: Failure, *, number: int = 1) -> None:
        """Has a generation stopped, as the projector would."""
        with self._changing(projection) as (unit, lease):
            unit.generation(lease, number).fail(failure)

    def begin_rebuild(self, projection: str) -> None:
        """Makes a generation that nothing was applied to."""
        (found,) = [each for each in ORDER_PROJECTIONS if each.name == projection]
        with self._changing(projection) as (unit, _):
            unit.register.add_generation(
                found, role=Role.BUILDING, now=0, reason="asked"
            )

    @contextmanager
    def _changing(self, projection: str) -> Iterator[tuple[ReadUnit, Lease]]:
        store = SqlReadStore(owner_engine(self.folder / "read.db", durable=False))
        with closing(store), store.begin() as unit:
            lease = unit.register.acquire(
                projection, owner="test", now=sys.maxsize, expire_time=sys.maxsize
            )
            assert lease is not None
            yield unit, lease
            unit.commit()

    def verify(self, on_progress: OnProgress = lambda *_: None) -> Report:
        return verify(self.folder, scratch_dir=None, on_progress=on_progress)


@dataclass(frozen=True, slots=True)
class Sound:
    """Stores in which nothing is wrong, made once: each test has a copy."""

    folder: Path
    now: Instant
    """When its last event was stored."""

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Data]:
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        with closing(Data(folder)) as data:
            data.log.now = self.now
            yield data


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    with closing(Data(folder)) as data:
        for _ in range(3):
            data.log.append(an_id(), *PAID_ORDER)
        data.log.append(an_id(), PLACED)
        data.project()
        return Sound(folder, data.log.now)


@pytest.fixture
def data(sound: Sound, tmp_path: Path) -> Iterator[Data]:
    with sound.copied(tmp_path) as data:
        yield data


@contextmanager
def without_triggers(data: Data) -> Iterator[None]:
    """The log refuses changes only as long as its triggers are there."""
    with closing(sqlite3.connect(data.folder / "write.db")) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        )
        for (name,) in names.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
    yield


def test_of_sound_stores_nothing_is_found(data: Data) -> None:
    report = data.verify()
    assert report.findings == []
    assert report.unsettled == []
    assert report.notes == []
    assert report.events == 13
    assert [each.projection for each in report.verified] == NAMES
    assert all(each.position == 13 and each.rows for each in report.verified)


def test_it_works_while_they_are_in_use(data: Data) -> None:
    path = data.folder / "read.db"
    with closing(SqlReadStore(owner_engine(path, durable=False))):
        assert data.verify().findings == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "UPDATE orders_g1 SET state = 'ODD' WHERE rowid = 1",
            "state is 'ODD' and should be 'PAID'",
        ),
        ("DELETE FROM orders_g1 WHERE rowid = 2", "orders lacks the row order_id="),
        (
            "INSERT INTO order_products_g1 VALUES ('odd', 1, x'00')",
            "order_products has a row too many, product_id='odd'",
        ),
        (
            "UPDATE order_events_g1 SET answer = x'00' WHERE position = 7",
            "order_events row position=7: answer is 1 bytes (00…)",
        ),
        (
            "UPDATE customer_payments_g1 SET net_paid = '1'",
            "net_paid is '1' and should be",
        ),
        (
            "UPDATE product_sales_g1 SET quantity = quantity + 1",
            "quantity is",
        ),
    ],
)
def test_each_difference_of_a_read_model_is_named(
    data: Data, statement: str, finding: str
) -> None:
    data.spoil("read.db", statement)
    report = data.verify()
    assert any(finding in found for found in report.findings), report.findings
    assert all(", generation 1: " in found for found in report.findings)


def test_of_many_differences_the_first_are_named_and_all_are_counted(
    data: Data,
) -> None:
    for _ in range(50):
        data.log.append(an_id(), PLACED)
    data.project()
    data.spoil("read.db", "DELETE FROM order_events_g1 WHERE position > 13")
    report = data.verify()
    assert report.findings_total == 50
    assert len(report.findings) == FINDINGS_SHOWN_MAX + 1
    assert report.findings[-1].endswith("30 more")


def test_a_read_model_that_is_not_where_it_says_is_found(data: Data) -> None:
    data.spoil("read.db", "UPDATE generations SET position = 12")
    report = data.verify()
    assert {finding.partition(",")[0] for finding in report.findings} == set(NAMES)


@pytest.mark.parametrize("position", [1, 7, 13])
def test_a_hole_in_the_log_is_found(data: Data, position: int) -> None:
    with without_triggers(data):
        data.spoil("write.db", f"DELETE FROM events WHERE position = {position}")
    report = data.verify()
    assert f"the log: position {position} is missing" in report.findings
    assert any(
        "orders, generation 1: it cannot be folded" in f for f in report.findings
    )


def test_every_hole_is_named_and_the_rest_is_read(data: Data) -> None:
    with without_triggers(data):
        data.spoil(
            "write.db",
            "DELETE FROM events WHERE position IN (3, 4, 9)",
            "UPDATE events SET payload = '{}' WHERE position = 13",
        )
    found = [f for f in data.verify().findings if f.startswith("the log")]
    for position in (3, 4, 9):
        assert f"the log: position {position} is missing" in found
    assert any("at position 13 is no OrderPlaced" in finding for finding in found)


def test_a_hole_in_the_outbox_is_found(data: Data) -> None:
    data.spoil("write.db", "DELETE FROM outbox WHERE position = 5")
    assert any(f.startswith("the outbox: ") for f in data.verify().findings)


def test_what_stands_beyond_the_end_of_the_log_is_found_in_both_tables(
    data: Data,
) -> None:
    with without_triggers(data):
        data.spoil("write.db", "UPDATE log_head SET position = 12")
    found = data.verify().findings
    for place in ("log", "outbox"):
        assert (
            f"the {place}: position 13 is beyond the end of the log, 12, "
            f"and stands in the {place}"
        ) in found


@pytest.mark.parametrize("others", ["position > 0", "position > 13", "position = 1"])
def test_a_position_of_the_outbox_beyond_the_end_is_found_whatever_else_it_holds(
    data: Data, others: str
) -> None:
    data.spoil(
        "write.db",
        f"DELETE FROM outbox WHERE {others}",
        "INSERT INTO outbox (position) VALUES (20)",
    )
    (found,) = data.verify().findings
    assert found == (
        "the outbox: position 20 is beyond the end of the log, 13, "
        "and stands in the outbox"
    )


def test_an_event_beyond_the_end_is_found_where_the_outbox_is_empty(
    data: Data,
) -> None:
    with without_triggers(data):
        data.spoil(
            "write.db",
            "DELETE FROM outbox",
            "UPDATE events SET position = 20 WHERE position = 13",
        )
    found = data.verify().findings
    assert [f for f in found if f.startswith("the ")] == [
        "the log: position 20 is beyond the end of the log, 13, and stands in the log",
        "the log: position 13 is missing",
    ]


def test_wrong_versions_and_times_are_found(data: Data) -> None:
    with without_triggers(data):
        data.spoil(
            "write.db",
            "UPDATE events SET stream_version = 9 WHERE position = 2",
            "UPDATE events SET record_time = 1 WHERE position = 10",
        )
    found = " ".join(data.verify().findings)
    assert "position 2 is version 9 of order" in found
    assert "position 10 is older than the event before it" in found


def test_where_the_log_cannot_be_checked_that_is_found_and_nothing_is_told_twice(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(event: EventEnvelope) -> None:
        if event.position == 12:
            raise RuntimeError("it is odd")

    monkeypatch.setattr(
        "projector.bootstrap.order_codec", SimpleNamespace(decode=decode)
    )
    with without_triggers(data):
        data.spoil(
            "write.db", "UPDATE events SET record_time = 1 WHERE position IN (3, 10)"
        )
    found = data.verify().findings
    assert [f for f in found if f.startswith("the log")] == [
        "the log: position 3 is older than the event before it",
        "the log: position 10 is older than the event before it",
        "the log: it cannot be checked any further: at position 12: it is odd",
    ]


def test_an_unknown_type_of_event_is_found(data: Data) -> None:
    with without_triggers(data):
        data.spoil("write.db", "UPDATE events SET type = 'Odd' WHERE position = 4")
    assert any("Odd version 1" in finding for finding in data.verify().findings)


def test_what_operators_had_left_out_is_told_apart(data: Data) -> None:
    skip = Skip(
        position=14, event_id=an_id(), event_type="OrderPlaced", reason="lost", time=1
    )
    data.log.append(an_id(), PLACED)
    data.project(lambda register: register.skip("order_events", 1, skip))
    report = data.verify()
    assert report.findings == []
    (with_skip,) = [each for each in report.verified if each.skips]
    assert (with_skip.projection, list(with_skip.skips)) == ("order_events", [skip])


def test_what_was_replaced_is_verified_as_well(data: Data) -> None:
    data.project(
        lambda register: register.add_generation(
            ORDER_PROJECTIONS[0], role=Role.BUILDING, now=0, reason="asked"
        )
    )
    data.log.append(an_id(), PLACED)
    data.project()
    data.spoil("read.db", "DELETE FROM orders_g1 WHERE rowid = 1")
    report = data.verify()
    assert [each.generation for each in report.verified][:2] == [2, 1]
    assert [finding.partition(":")[0] for finding in report.findings] == [
        "orders, generation 1"
    ]


def test_without_read_models_the_log_is_verified_and_that_is_said(
    tmp_path: Path,
) -> None:
    with closing(Data(tmp_path)) as data:
        data.log.append(an_id(), PLACED)
        report = data.verify()
    assert (report.events, report.findings) == (1, [])
    assert [each.partition(":")[0] for each in report.unsettled] == [
        "the read models are not verified"
    ]


def test_read_models_of_an_older_release_are_not_verified(data: Data) -> None:
    data.spoil("read.db", "UPDATE generations SET version = 999")
    report = data.verify()
    assert (report.findings, report.verified) == ([], [])
    assert [each.partition(":")[0] for each in report.unsettled] == [
        f"{name} is not verified" for name in NAMES
    ]


def test_a_read_model_that_has_stopped_is_compared_and_named(data: Data) -> None:
    failure = Failure(
        position=14, event_id=an_id(), message="it cannot be applied", time=1
    )
    data.fail("orders", failure)
    report = data.verify()
    assert report.findings == []
    assert [each.projection for each in report.verified] == NAMES
    assert report.unsettled == [
        "orders, generation 1, has stopped at position 14: it cannot be applied"
    ]


def test_a_rebuild_is_to_be_known_and_one_that_has_stopped_is_unsettled(
    data: Data,
) -> None:
    data.begin_rebuild("orders")
    report = data.verify()
    assert report.unsettled == []
    assert report.notes == ["orders, generation 2, is being made, and is not verified"]
    failure = Failure(position=3, event_id=an_id(), message="it is odd", time=1)
    data.fail("orders", failure, number=2)
    assert data.verify().unsettled == [
        "orders, generation 2, has stopped at position 3: it is odd"
    ]


def test_what_takes_over_meanwhile_is_said_to_be_not_verified(data: Data) -> None:
    def switch(step: str, done: int, _total: int) -> None:
        if step.startswith("reading") and done == 13:
            data.begin_rebuild("orders")
            data.spoil(
                "read.db",
                "UPDATE generations SET role = CASE number WHEN 1 THEN 'replaced' "
                "ELSE 'serving' END WHERE projection = 'orders'",
            )

    report = data.verify(on_progress=switch)
    assert report.findings == []
    assert report.unsettled == [
        "orders, generation 2, has taken over meanwhile, and is not verified"
    ]


@pytest.mark.parametrize("pages", [2, 10, 60])
def test_without_room_for_the_fold_nothing_is_said_of_the_stores(
    data: Data, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    for _ in range(200):
        data.log.append(an_id(), *PAID_ORDER)
    data.project()

    def small_engine(path: Path, *, durable: bool) -> Engine:
        engine = owner_engine(path, durable=durable)

        @event.listens_for(engine, "begin")
        def limit(connection: Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        return engine

    monkeypatch.setattr("projector.bootstrap.owner_engine", small_engine)
    with pytest.raises(
        StartFailed,
        match=r"scratch directory .*database or disk is full.*--scratch-dir",
    ) as caught:
        data.verify()
    assert str(tempfile.gettempdir()) in caught.value.message


def test_where_nothing_can_be_written_the_scratch_directory_is_named(
    data: Data, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(StartFailed, match=r"scratch directory .*gone.*--scratch-dir"):
        verify(data.folder, scratch_dir=gone, on_progress=lambda *_: None)


def test_without_a_write_store_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"there is no .*write\.db"):
        verify(tmp_path, scratch_dir=None, on_progress=lambda *_: None)


@settings(max_examples=20, deadline=None)
@given(table=st.sampled_from(TABLES), row=st.integers(0, 1000))
def test_any_row_that_is_lost_is_found(
    sound: Sound, tmp_path_factory: pytest.TempPathFactory, table: str, row: int
) -> None:
    with sound.copied(tmp_path_factory.mktemp("data")) as data:
        path = data.folder / "read.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            connection.execute(
                f"DELETE FROM {table} WHERE rowid IN "
                f"(SELECT rowid FROM {table} LIMIT 1 OFFSET {row % count})"
            )
        assert data.verify().findings_total == 1
