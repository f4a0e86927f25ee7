"""The read store in memory."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Table

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved
from eventcore.read_store import Key, Row


@dataclass(slots=True)
class _Committed:
    """What is committed."""

    rows: dict[str, dict[Key, Row]] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)


class MemoryReadModelTables:
    """What is committed, under what a unit of work has changed."""

    def __init__(self, committed: _Committed) -> None:
        self._committed = committed
        self.changed: dict[str, dict[Key, Row | None]] = {}
        """None is a row that was removed."""

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        committed = self._committed.rows.get(table.name, {})
        changed = self.changed.get(table.name, {})
        found: dict[Key, Row] = {}
        for key in keys:
            row = changed[key] if key in changed else committed.get(key)
            if row is not None:
                found[key] = dict(row)
        return found

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        changed = self.changed.setdefault(table.name, {})
        names = [column.name for column in table.primary_key.columns]
        for row in rows:
            changed[tuple(row[name] for name in names)] = dict(row)

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        changed = self.changed.setdefault(table.name, {})
        for key in keys:
            changed[key] = None


class MemoryCheckpoints:
    """What is committed, under what a unit of work has moved."""

    def __init__(self, committed: _Committed) -> None:
        self._committed = committed
        self.moved: dict[str, Checkpoint] = {}

    def get(self, projection: str) -> Checkpoint | None:
        moved = self.moved.get(projection)
        return moved or self._committed.checkpoints.get(projection)

    def advance(self, checkpoint: Checkpoint, *, expected_position: int | None) -> None:
        present = self.get(checkpoint.projection)
        position = None if present is None else present.position
        if position != expected_position:
            raise CheckpointMoved(checkpoint.projection, expected=expected_position)
        self.moved[checkpoint.projection] = checkpoint


class MemoryProjectionUnit:
    """One transaction."""

    def __init__(self, committed: _Committed) -> None:
        self._committed = committed
        self.tables = MemoryReadModelTables(committed)
        self.checkpoints = MemoryCheckpoints(committed)

    def commit(self) -> None:
        for name, changed in self.tables.changed.items():
            rows = self._committed.rows.setdefault(name, {})
            for key, row in changed.items():
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row
        self._committed.checkpoints.update(self.checkpoints.moved)


class MemoryReadStore:
    """A store that lives as long as its process."""

    def __init__(self) -> None:
        self._committed = _Committed()
        self._lock = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[MemoryProjectionUnit]:
        with self._lock:
            yield MemoryProjectionUnit(self._committed)

    def close(self) -> None:
        """There is nothing to give up."""
