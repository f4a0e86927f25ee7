"""Keeps the write-ahead log of a SQLite database bounded.

SQLite moves the log into the database by itself, but it begins the log anew only when it happens
upon a moment at which nobody reads from it. Where reads overlap all the time there is no such
moment: the log grows for as long as they go on, and each of them has more of it to search
(https://sqlite.org/wal.html, "Avoiding Excessively Large WAL Files"). So, beyond a limit, the owner
makes that moment: it writes nothing for a while, and who begins to read then leaves the log alone.
"""

import time
from pathlib import Path

from sqlalchemy import Connection

WAL_BYTES_MAX = 16 * 1024 * 1024
"""How large the log may be before the owner waits for its readers, and how much of its file is kept
for the next one: several times what SQLite moves into the database by itself."""

WAL_WAIT_SECONDS = 0.05
"""How long the owner waits for readers of a log that has just become too large: several times as
long as a query takes. It waits longer in proportion to the log, so that whoever reads slows down
what makes the log grow."""

WAL_WAIT_SECONDS_MAX = 0.25
"""Who reads for longer, as a comparison of whole tables does, is not waited for: the log is bounded
by what is written meanwhile."""

WAL_WAIT_SHARE_MAX = 0.2
"""How much of its time the owner waits at most, while the log cannot begin anew."""


class WriteAheadLog:
    """The log of a database, in the hands of the one connection that may write and checkpoint."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-wal")
        self._look_at = 0.0

    def bound(self, connection: Connection) -> None:
        """Has a log that is too large begin anew. One look costs about 3 µs.

        Args:
            connection: The owner's, before it begins a transaction.
        """
        size = self._size()
        if size <= WAL_BYTES_MAX or time.monotonic() < self._look_at:
            return
        wait_seconds = min(
            WAL_WAIT_SECONDS * size / WAL_BYTES_MAX, WAL_WAIT_SECONDS_MAX
        )
        # Noted before: if the disk is full, one unit of work in a while fails of it and not all.
        self._look_at = time.monotonic() + wait_seconds / WAL_WAIT_SHARE_MAX
        usual = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        _set_busy_timeout(connection, wait_seconds)
        try:
            begun_anew = connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)")
            (is_busy, _, _) = begun_anew.one()
        finally:
            _set_busy_timeout(connection, usual / 1000)
        if not is_busy:
            self._look_at = 0.0

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0


def _set_busy_timeout(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
