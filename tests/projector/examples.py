"""Projections and stores that fail where a test wants them to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Column, Integer, MetaData, Table, Text

from eventcore.errors import EventCoreError
from eventcore.generations import Lease
from eventcore.messages import EventEnvelope
from eventcore.model_tables import ReadModelTables
from eventcore.projection import Projection
from eventcore.read_store import GenerationUnit, ReadStore, ReadUnit


def a_table(name: str) -> Table:
    return Table(
        name,
        MetaData(),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("event_id", Text),
    )


class CountingProjection:
    """Keeps a row for each event, and fails at some."""

    def __init__(self, name: str, *, version: int = 1) -> None:
        self.name = name
        self.table = a_table(name)
        self.poison: dict[int, Exception] = {}
        """What to fail with, by the position of the event."""
        self.batch_sizes: list[int] = []
        self.on_apply: Callable[[int], None] = lambda _: None
        """Called with the number of events of each batch."""
        self.text: str | None = None
        """What to write instead of the id of each event, as code that has changed does."""
        self.declared = Projection(
            name=name, version=version, tables=(self.table,), apply=self.apply
        )

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        self.batch_sizes.append(len(events))
        self.on_apply(len(events))
        for event in events:
            if event.position in self.poison:
                raise self.poison[event.position]
        tables.write(
            self.table,
            [
                {"position": event.position, "event_id": self.text or event.event_id}
                for event in events
            ],
        )


class FailingReadStore:
    """A read store whose commits fail where they are told to."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self.before_commit: list[EventCoreError | None] = []
        """What the next commits fail with; None lets one pass."""
        self.on_durable_commit: Callable[[], None] = lambda: None
        """Called before what an operator was told is stored."""
        self.durable: list[bool] = []
        """Of each unit, whether it is to be."""

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[ReadUnit]:
        self.durable.append(durable)
        with self._store.begin(durable=durable) as unit:
            yield _FailingUnit(
                unit, self.before_commit, self.on_durable_commit if durable else None
            )

    def close(self) -> None:
        self._store.close()


class _FailingUnit:
    def __init__(
        self,
        unit: ReadUnit,
        failures: list[EventCoreError | None],
        on_commit: Callable[[], None] | None,
    ) -> None:
        self._unit = unit
        self._on_commit = on_commit
        self._failures = failures
        self.register = unit.register

    def held(self, lease: Lease) -> None:
        self._unit.held(lease)

    def generation(self, lease: Lease, number: int) -> GenerationUnit:
        return self._unit.generation(lease, number)

    def commit(self) -> None:
        if self._on_commit is not None:
            self._on_commit()
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        self._unit.commit()
