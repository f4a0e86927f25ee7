"""The write-ahead log stays bounded, whoever reads, and its file shrinks again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from eventcore.sql.sqlite import BUSY_TIMEOUT_SECONDS, owner_engine, reader_engine

LIMIT = 256 * 1024
UNIT_BYTES = LIMIT // 4
UNITS_MAX = 400
"""So many units make a hundred times as much log as may be."""


class Clock:
    """The seconds that the log sees go by."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("eventcore.sql.write_ahead_log.time", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for module in ("write_ahead_log", "sqlite"):
        monkeypatch.setattr(f"eventcore.sql.{module}.WAL_BYTES_MAX", LIMIT)
    engine = owner_engine(path, durable=False)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (content BLOB)"))
    yield engine
    engine.dispose()


def write(owner: Engine) -> None:
    with owner.begin() as connection:
        statement = text("INSERT INTO things VALUES (randomblob(:size))")
        connection.execute(statement, {"size": UNIT_BYTES})


def count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM things")).scalar_one())


def wal_bytes(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


@contextmanager
def checkpoints_of(owner: Engine) -> Iterator[list[str]]:
    """Those that the owner asks for, in the order in which it does."""
    asked: list[str] = []

    def remember(*arguments: object) -> None:
        if "wal_checkpoint" in str(arguments[2]):
            asked.append(str(arguments[2]))

    event.listen(owner, "before_cursor_execute", remember)
    yield asked
    event.remove(owner, "before_cursor_execute", remember)


def write_until(owner: Engine, condition: Callable[[], bool]) -> None:
    """Writes, and fails if the condition does not hold before the log is far too large."""
    for _ in range(UNITS_MAX):
        write(owner)
        if condition():
            return
    raise AssertionError("the write-ahead log grows without bound")


class Overlap:
    """Reads, of which none ends before another one has begun."""

    def __init__(self) -> None:
        self._turns = threading.Condition()
        self._begun = 0
        self.is_over = False

    def begun(self) -> None:
        """Waits for a later one, in the middle of a read."""
        with self._turns:
            self._begun += 1
            mine = self._begun
            self._turns.notify_all()
            self._turns.wait_for(lambda: self._begun > mine or self.is_over)

    def wait_for_some(self) -> None:
        with self._turns:
            self._turns.wait_for(lambda: self._begun >= 2)

    def end(self) -> None:
        with self._turns:
            self.is_over = True
            self._turns.notify_all()


@contextmanager
def reads_that_overlap(path: Path) -> Iterator[None]:
    """Two readers, of which one is always in the middle of a read."""
    overlap = Overlap()

    def read() -> None:
        engine = reader_engine(path)
        while not overlap.is_over:
            with engine.connect() as connection:
                count(connection)
                overlap.begun()
        engine.dispose()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        overlap.wait_for_some()
        yield
    finally:
        overlap.end()
        for thread in threads:
            thread.join()


def test_the_log_begins_anew_while_there_is_always_somebody_who_reads(
    owner: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventcore.sql.write_ahead_log.WAL_WAIT_SHARE_MAX", 1.0)
    with reads_that_overlap(path):
        for _ in range(3):
            write_until(owner, lambda: wal_bytes(path) > LIMIT)
            write_until(owner, lambda: wal_bytes(path) == LIMIT)


def test_a_log_of_the_usual_size_is_left_to_sqlite(owner: Engine, path: Path) -> None:
    with checkpoints_of(owner) as asked:
        write_until(owner, lambda: wal_bytes(path) > LIMIT)
    assert asked == []


def test_a_long_read_does_not_stop_the_owner_and_keeps_its_moment(
    owner: Engine, path: Path
) -> None:
    reader = reader_engine(path)
    with reader.connect() as connection:
        assert count(connection) == 0
        for _ in range(20):
            write(owner)
        assert count(connection) == 0
    with reader.connect() as connection:
        assert count(connection) == 20
    reader.dispose()


def test_the_file_shrinks_after_a_long_read(
    owner: Engine, path: Path, clock: Clock
) -> None:
    reader = reader_engine(path)
    with reader.connect() as connection:
        count(connection)
        for _ in range(20):
            write(owner)
    assert wal_bytes(path) > 4 * LIMIT
    clock.seconds += 1.25
    write(owner)
    assert wal_bytes(path) == LIMIT
    reader.dispose()


def test_who_reads_for_long_is_not_waited_for_by_every_unit(
    owner: Engine, path: Path, clock: Clock
) -> None:
    reader = reader_engine(path)
    with reader.connect() as connection, checkpoints_of(owner) as asked:
        count(connection)
        for _ in range(20):
            write(owner)
        assert len(asked) == 1
        clock.seconds += 1.25
        for _ in range(5):
            write(owner)
        assert len(asked) == 2
    reader.dispose()


@pytest.mark.parametrize("somebody_reads", [True, False])
def test_other_waits_are_as_long_as_before(
    owner: Engine,
    path: Path,
    somebody_reads: bool,  # noqa: FBT001
) -> None:
    reader = reader_engine(path)
    with reader.connect() as connection, checkpoints_of(owner) as asked:
        count(connection)
        if not somebody_reads:
            # It is too large and free by then.
            write_until(owner, lambda: wal_bytes(path) > LIMIT)
            connection.rollback()
        write_until(owner, lambda: bool(asked))
        with owner.begin() as writing:
            timeout = writing.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    assert timeout == BUSY_TIMEOUT_SECONDS * 1000
    reader.dispose()
