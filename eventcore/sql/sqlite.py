"""SQLite as OrderES uses it: one process owns a file and writes it, all others only read.

SQLite 3.7.0 to 3.51.2 can corrupt a database in WAL mode when two connections write or checkpoint
at once (https://sqlite.org/wal.html, "the WAL-reset bug"). So exactly one connection of one process
may write, and every other opens the file read-only, which keeps it from checkpointing as well.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, StaticPool

from eventcore.errors import (
    StartFailed,
    StoreBroken,
    StoreReplaced,
    StoreUnavailable,
)
from eventcore.sql.write_ahead_log import WAL_BYTES_MAX, WriteAheadLog

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for a lock. Readers meet one only while the owner recovers."""

WAL_CHECKPOINT_PAGES = 1000
"""After how many pages of 4 KiB the owner moves the write-ahead log into the database."""

_NORMAL, _FULL = 1, 2
"""How SQLite reads `synchronous` back."""

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_INTERRUPT,
}
_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}


class OwnedFile:
    """Ownership of a database file: at most one process has it, and a crash gives it up.

    The lock is on a file beside the database: closing any handle of the database file itself would
    drop the locks that SQLite holds on it.
    """

    def __init__(self, path: Path) -> None:
        """Takes ownership.

        Raises:
            StartFailed: another process has it, or the folder cannot be written.
        """
        self._handle = -1
        lock_path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(
                lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and not os.access(path, os.W_OK):
                # SQLite would fall back to reading without a word.
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except BlockingIOError:
            self.release()
            raise StartFailed(
                f"{path} is in use by another process: stop it, or choose another "
                "--data-dir (ORDERES_DATA_DIR)"
            ) from None
        except OSError as error:
            self.release()
            raise StartFailed(
                f"cannot use {path}: {error.strerror or error}; choose a --data-dir "
                "(ORDERES_DATA_DIR) that can be written"
            ) from None

    def release(self) -> None:
        """Gives it up. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def owner_engine(path: Path, *, durable: bool) -> Engine:
    """The engine of the file's owner: one connection, which may move between threads.

    Args:
        path: The file; it is made if it is not there.
        durable: True waits for the disk at each commit (synchronous FULL). False (NORMAL) cannot
            corrupt the file either, but a power loss may take the newest commits back.
    """
    engine = create_engine(
        _url("sqlite", path),
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": BUSY_TIMEOUT_SECONDS,
        },
        poolclass=StaticPool,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        _pragma(connection, "journal_mode", "WAL", "wal")
        if durable:
            _pragma(connection, "synchronous", "FULL", _FULL)
        else:
            _pragma(connection, "synchronous", "NORMAL", _NORMAL)
        _pragma(
            connection, "wal_autocheckpoint", WAL_CHECKPOINT_PAGES, WAL_CHECKPOINT_PAGES
        )
        _pragma(connection, "journal_size_limit", WAL_BYTES_MAX, WAL_BYTES_MAX)

    event.listen(engine, "begin", WriteAheadLog(path).bound)
    _end_if_replaced(engine, path, "commit")
    # A deferred transaction that reads and then writes fails at once with BUSY_SNAPSHOT when
    # another connection has written in between, whatever the timeout.
    _begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def reader_engine(path: Path) -> Engine:
    """An engine that can only read: one connection, which may move between threads.

    Connecting fails with `StoreUnavailable` (under `translated`) until the owner has made the file.
    """
    engine = create_engine(
        _url("sqlite", path, mode="ro"),
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": BUSY_TIMEOUT_SECONDS,
        },
        poolclass=StaticPool,
    )
    _end_if_replaced(engine, path, "begin")
    _begin_with(engine, "BEGIN")
    return engine


def async_reader_engine(path: Path, *, connections: int) -> AsyncEngine:
    """An engine for an event loop that can only read, over at most that many connections."""
    engine = create_async_engine(
        _url("sqlite+aiosqlite", path, mode="ro"),
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_SECONDS},
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
    )
    _begin_with(engine.sync_engine, "BEGIN")
    return engine


@contextmanager
def committing(connection: Connection, *, durable: bool) -> Iterator[None]:
    """Has the commits of an owner that is not durable wait for the disk all the same, if they are
    to be durable. Not within a transaction: there SQLite does not obey.
    """
    if not durable:
        yield
        return
    driver = _driver(connection)
    before = driver.execute("PRAGMA synchronous").fetchone()[0]
    _pragma(driver, "synchronous", "FULL", _FULL)
    try:
        yield
    finally:
        # Where a transaction could not even be ended, nothing is obeyed either; what is raised then
        # says why.
        if not driver.in_transaction:
            _pragma(driver, "synchronous", before, before)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Has a database that cannot be opened say so as a failure to start.

    Raises:
        StartFailed: it is damaged, no database, not to be written, or there is no room. It names
            the file and has the words of SQLite.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise StartFailed(
            f"cannot open {path}: {words_of(error)}; put a sound file in its place, or choose "
            "another --data-dir (ORDERES_DATA_DIR)"
        ) from error


def words_of(error: StoreUnavailable) -> str:
    """What SQLite has said, for who can see to the file."""
    cause = error.__cause__
    return str(cause.orig) if isinstance(cause, DBAPIError) else str(error)


@contextmanager
def translated() -> Iterator[None]:
    """Turns errors of the database into those of the house.

    Raises:
        StoreUnavailable: no room, no memory, busy, or not there.
        StoreBroken: an I/O error or a damaged file: only a restart can tell what is on disk.
    """
    try:
        yield
    except DBAPIError as error:
        code = _primary_code(error)
        if code in _UNAVAILABLE:
            raise StoreUnavailable from error
        if code in _BROKEN:
            raise StoreBroken from error
        raise


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "it is an engine of this module"
    return driver


def _primary_code(error: DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF


def _url(driver: str, path: Path, **query: str) -> URL:
    # Built from its parts: a URL that is given as text has its escapes resolved twice, and a folder
    # named a#1 would be cut off at the sign.
    database = f"file:{quote(str(path.absolute()))}"
    return URL.create(driver, database=database, query={"uri": "true", **query})


def _end_if_replaced(engine: Engine, path: Path, moment: str) -> None:
    """Has a connection fail at each such moment once its file is not the one at the path.

    SQLite goes on with a file that was removed or replaced as if nothing were: what is committed
    then is lost, and what is read is the past. One look costs about 2 µs.
    """
    opened: list[tuple[int, int]] = []

    @event.listens_for(engine, "connect")
    def remember(_connection: sqlite3.Connection, _record: object) -> None:
        opened[:] = [_identity(path)]

    @event.listens_for(engine, moment)
    def check(_connection: Connection) -> None:
        try:
            if opened == [_identity(path)]:
                return
        except OSError:
            pass
        raise StoreReplaced(str(path))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _pragma(
    connection: sqlite3.Connection, name: str, value: str | int, expected: str | int
) -> None:
    """Sets a pragma and reads it back: SQLite answers nothing to one that it does not obey."""
    connection.execute(f"PRAGMA {name}={value}").close()
    (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
    if actual != expected:
        raise StartFailed(f"SQLite keeps {name} at {actual!r}, {expected!r} is needed")


def _begin_with(engine: Engine, statement: str) -> None:
    """Begins transactions with our own statement: the driver's own begin is deferred and late."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> Any:
        connection.exec_driver_sql(statement)
