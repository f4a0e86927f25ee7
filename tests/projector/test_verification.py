"""What is wrong with the stores is found, whatever it is, and named."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from contexts.orders.read.registry import ORDER_PROJECTIONS
from eventcore.errors import StartFailed
from eventcore.generations import Role, Skip
from eventcore.messages import Instant
from eventcore.projection_register import ProjectionRegister
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import owner_engine, reader_engine
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.telemetry import ProjectionMetrics
from projector.bootstrap import verify
from projector.comparison import Comparisons
from projector.runner import FRESHNESS_SECONDS, ProjectionRunner
from projector.verification import FINDINGS_SHOWN_MAX, Report
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

    def verify(self) -> Report:
        return verify(self.folder, scratch_dir=None, on_progress=lambda *_: None)


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
    assert any("the read models are not verified" in note for note in report.notes)


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
