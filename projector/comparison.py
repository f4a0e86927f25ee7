"""Compares a rebuild with what it is to replace: whole tables, in one moment, beside the work."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from eventcore.model_tables import Values
from eventcore.projection import Projection
from eventcore.read_store import ReadStoreReader, ReadStoreSnapshot
from eventcore.row_digest import RowDigest, TableDigest


class Abandoned(Exception):
    """The comparison was given up before its end."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison has shown."""

    differs: bool
    text: str
    """For people."""


class Comparisons:
    """Makes comparisons, one at a time, on a thread and over a connection of their own."""

    def __init__(self, open_reader: Callable[[], ReadStoreReader]) -> None:
        """Prepares to compare.

        Args:
            open_reader: Opens the read store anew, for reading.
        """
        self._open_reader = open_reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="comparison")
        self._closing = threading.Event()

    def begin(
        self, projection: Projection, *, served: int, made: int
    ) -> Future[Compared] | None:
        """Takes the moment, now, and compares in the background.

        Returns:
            What will have been found; None if the two are not at one position now. It
            fails with `Abandoned` if it is given up, and with whatever breaks it.
        """
        with ExitStack() as stack:
            reader = self._open_reader()
            stack.callback(reader.close)
            snapshot = stack.enter_context(reader.snapshot())
            positions = {
                generation.number: generation.checkpoint.position
                for generation in snapshot.register.generations(projection.name)
            }
            if positions.get(served) != positions.get(made):
                return None
            held = stack.pop_all()

        def compare() -> Compared:
            with held:
                return self._compare(snapshot, projection, served, made)

        return self._thread.submit(compare)

    def close(self) -> None:
        """Gives up what is under way. Idempotent."""
        self._closing.set()
        self._thread.shutdown(wait=True)

    def _compare(
        self,
        snapshot: ReadStoreSnapshot,
        projection: Projection,
        served: int,
        made: int,
    ) -> Compared:
        differences, same = [], []
        for table in projection.tables:
            before = self._digest(snapshot.generation(served).scan(table))
            after = self._digest(snapshot.generation(made).scan(table))
            if before == after:
                same.append(f"{table.name} {after.rows:,} rows")
            else:
                differences.append(_difference(table.name, before, after))
        if differences:
            text = f"differs from the one before: {'; '.join(differences)}"
            return Compared(differs=True, text=text)
        text = f"the same as the one before: {', '.join(same)}"
        return Compared(differs=False, text=text)

    def _digest(self, chunks: Iterable[Sequence[Values]]) -> TableDigest:
        digest = RowDigest()
        for rows in chunks:
            digest.add(rows)
            if self._closing.is_set():
                raise Abandoned
        return digest.result()


def _difference(name: str, before: TableDigest, after: TableDigest) -> str:
    if before.rows != after.rows:
        return f"{name} has {after.rows:,} rows, {before.rows:,} before"
    return f"{name} has as many rows as before, {after.rows:,}, of other content"
