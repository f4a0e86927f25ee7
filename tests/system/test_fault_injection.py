"""The faults that tests inject are those that a program sees of a bad disk."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disk_faults import DiskFaults, Operation

WRITER = """
import sqlite3, sys

def commit():
    # Each time it opens the file: nothing is read from a cache.
    connection = None
    try:
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("INSERT INTO t VALUES (randomblob(10000))")
    except sqlite3.Error as error:
        return error.sqlite_errorname
    finally:
        if connection is not None:
            connection.close()
    return "stored"

# As long as another has the file open, closing it does not clear the log.
keeper = sqlite3.connect(sys.argv[1], isolation_level=None)
keeper.execute("PRAGMA journal_mode=WAL")
keeper.execute("CREATE TABLE t (x)")
for _ in sys.stdin:
    print(commit(), flush=True)
"""


class Writer:
    """A program that stores a row in a file of SQLite at each line that it is sent."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def stores(self) -> str:
        """What became of one row."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("row\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskFaults]:
    with DiskFaults(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture
def writer(faults: DiskFaults, tmp_path: Path) -> Iterator[Writer]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "rows.db")],
        env={**os.environ, **faults.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Writer(process)
    faults.disarm()


def test_nothing_fails_that_is_not_armed(writer: Writer, faults: DiskFaults) -> None:
    faults.arm(Operation.SYNC | Operation.WRITE, name="other.db", error=errno.EIO)

    assert [writer.stores(), writer.stores()] == ["stored", "stored"]
    assert faults.failed == 0


def test_the_sync_that_is_named_fails_and_no_other(
    writer: Writer, faults: DiskFaults
) -> None:
    assert writer.stores() == "stored"

    faults.arm(
        Operation.SYNC, name="rows.db-wal", error=errno.EIO, let_through=1, times=1
    )

    assert [writer.stores() for _ in range(4)] == [
        "stored",
        "SQLITE_IOERR_FSYNC",
        "stored",
        "stored",
    ]
    assert faults.failed == 1


def test_a_disk_is_full_until_there_is_room(writer: Writer, faults: DiskFaults) -> None:
    assert writer.stores() == "stored"

    faults.arm(Operation.WRITE, name="rows.db", error=errno.ENOSPC)
    assert [writer.stores(), writer.stores()] == ["SQLITE_FULL", "SQLITE_FULL"]

    faults.disarm()
    assert writer.stores() == "stored"


def test_what_cannot_be_read_is_an_error_of_the_disk(
    writer: Writer, faults: DiskFaults
) -> None:
    assert writer.stores() == "stored"

    faults.arm(Operation.READ, name="rows.db", error=errno.EIO, times=1)

    assert writer.stores().startswith("SQLITE_IOERR")
    assert writer.stores() == "stored"
