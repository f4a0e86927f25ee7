"""The read store in memory."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Table

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved, LeaseLost
from eventcore.generations import Failure, Lease, Progress, Role
from eventcore.memory.register import MemoryRegister, RegisterState
from eventcore.model_tables import Key, Row, Values

ROWS_PER_SCAN = 1000
"""Rows that a scan hands out at a time."""

_Tables = dict[tuple[str, int], dict[Key, Row]]
"""Rows by their key, of each table of each generation."""


@dataclass(frozen=True, slots=True)
class _State:
    """What is committed. Nothing in it is ever changed, so it is a moment."""

    register: RegisterState = field(default_factory=RegisterState)
    tables: _Tables = field(default_factory=dict)


@dataclass(slots=True)
class _Committed:
    """Where the newest moment is put in place of the one before, at once."""

    state: _State = field(default_factory=_State)


class MemoryRowReader:
    """Rows of one generation."""

    def __init__(self, tables: _Tables, generation: int) -> None:
        self._tables = tables
        self._generation = generation

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        rows = self._rows(table)
        return {key: dict(rows[key]) for key in keys if key in rows}

    def scan(self, table: Table) -> Iterator[Sequence[Values]]:
        names = [column.name for column in table.columns]
        rows = [
            tuple(row[name] for name in names) for row in self._rows(table).values()
        ]
        for start in range(0, len(rows), ROWS_PER_SCAN):
            yield rows[start : start + ROWS_PER_SCAN]

    def _rows(self, table: Table) -> dict[Key, Row]:
        return self._tables.get((table.name, self._generation), {})


class MemoryModelTables(MemoryRowReader):
    """Changes rows of one generation."""

    def __init__(
        self, tables: _Tables, generation: int, copied: set[tuple[str, int]]
    ) -> None:
        super().__init__(tables, generation)
        self._copied = copied
        """The tables that are the unit's own already."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        changed = self._own(table)
        names = [column.name for column in table.primary_key.columns]
        complete = [column.name for column in table.columns]
        for row in rows:
            kept: dict[str, Any] = {name: row[name] for name in complete}
            changed[tuple(row[name] for name in names)] = kept

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        changed = self._own(table)
        for key in keys:
            changed.pop(key, None)

    def _own(self, table: Table) -> dict[Key, Row]:
        name = (table.name, self._generation)
        if name not in self._copied:
            self._copied.add(name)
            self._tables[name] = dict(self._tables.get(name, {}))
        return self._tables[name]


class MemoryGenerationUnit:
    """One generation, within a unit of work."""

    def __init__(self, unit: "MemoryReadUnit", projection: str, number: int) -> None:
        self._register = unit.register
        self._place = (projection, number)
        self.tables = MemoryModelTables(unit.tables, number, unit.copied)

    def advance(self, checkpoint: Checkpoint, *, expected_position: int) -> None:
        present = self._register.state.generations.get(self._place)
        if (
            present is None
            or present.role is Role.DROPPING
            or present.checkpoint.position != expected_position
        ):
            raise CheckpointMoved(*self._place, expected=expected_position)
        self._register.put(replace(present, checkpoint=checkpoint))

    def report(self, progress: Progress) -> None:
        self._register.change(*self._place, progress=progress)

    def fail(self, failure: Failure) -> None:
        self._register.change(*self._place, failure=failure)


class MemoryReadUnit:
    """One transaction, on a copy of what is committed."""

    def __init__(self, committed: _Committed) -> None:
        self._committed = committed
        state = committed.state
        self.tables = dict(state.tables)
        self.copied: set[tuple[str, int]] = set()
        self.register = MemoryRegister(state.register.copy(), self.tables)

    def held(self, lease: Lease) -> None:
        present = self.register.ownership(lease.projection)
        if present is None or (present.owner, present.epoch) != (
            lease.owner,
            lease.epoch,
        ):
            raise LeaseLost(lease.projection, epoch=lease.epoch)

    def generation(self, lease: Lease, number: int) -> MemoryGenerationUnit:
        self.held(lease)
        return MemoryGenerationUnit(self, lease.projection, number)

    def commit(self) -> None:
        self._committed.state = _State(self.register.state.copy(), dict(self.tables))
        # What comes after it in the same unit must not reach what is committed.
        self.copied.clear()


class MemoryReadStoreSnapshot:
    """One moment of the store."""

    def __init__(self, state: _State) -> None:
        self._tables = state.tables
        self.register = MemoryRegister(state.register.copy(), dict(state.tables))

    def generation(self, number: int) -> MemoryRowReader:
        return MemoryRowReader(self._tables, number)


class MemoryReadStore:
    """A store that lives as long as its process. It is its own reader."""

    def __init__(self) -> None:
        self._committed = _Committed()
        self._lock = threading.Lock()

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[MemoryReadUnit]:  # noqa: ARG002
        """A unit of work. Nothing in here outlives the process, durable or not."""
        with self._lock:
            yield MemoryReadUnit(self._committed)

    @contextmanager
    def snapshot(self) -> Iterator[MemoryReadStoreSnapshot]:
        yield MemoryReadStoreSnapshot(self._committed.state)

    def close(self) -> None:
        """There is nothing to give up."""
