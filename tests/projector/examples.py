"""Projections and stores that fail where a test wants them to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Column, Integer, MetaData, Table, Text

from eventcore.errors import EventCoreError
from eventcore.messages import EventEnvelope
from eventcore.read_store import ProjectionUnit, ReadModelTables, ReadStore

_metadata = MetaData()


def a_table(name: str) -> Table:
    return Table(
        name,
        _metadata,
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("event_id", Text),
        extend_existing=True,
    )


class CountingProjection:
    """Keeps a row for each event, and fails at some."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.table = a_table(name)
        self.poison: dict[int, Exception] = {}
        """What to fail with, by the position of the event."""
        self.batch_sizes: list[int] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def tables(self) -> Sequence[Table]:
        return (self.table,)

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        self.batch_sizes.append(len(events))
        for event in events:
            if event.position in self.poison:
                raise self.poison[event.position]
            tables.write(
                self.table,
                [{"position": event.position, "event_id": event.event_id}],
            )


class FailingReadStore:
    """A read store whose commits fail where they are told to."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self.before_commit: list[EventCoreError | None] = []
        """What the next commits fail with; None lets one pass."""

    @contextmanager
    def begin(self) -> Iterator[ProjectionUnit]:
        with self._store.begin() as unit:
            yield _FailingUnit(unit, self.before_commit)

    def close(self) -> None:
        self._store.close()


class _FailingUnit:
    def __init__(
        self, unit: ProjectionUnit, failures: list[EventCoreError | None]
    ) -> None:
        self._unit = unit
        self._failures = failures
        self.tables = unit.tables
        self.checkpoints = unit.checkpoints

    def commit(self) -> None:
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        self._unit.commit()
