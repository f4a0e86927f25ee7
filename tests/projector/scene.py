"""A runner with two projections, over stores that outlive it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StoreUnavailable
from eventcore.read_store import ReadStore
from eventcore.telemetry import ProjectionMetrics
from eventcore.write_store import WriteSnapshot, WriteStore, WriteStoreReader
from projector.runner import ProjectionRunner
from tests.projector.examples import CountingProjection, FailingReadStore
from tests.support.envelopes import an_id
from tests.support.order_log import OrderLog

STORE_ID = an_id()


class AbsentWriteStore:
    """A write store that is not made yet."""

    @contextmanager
    def snapshot(self) -> Iterator[WriteSnapshot]:
        raise StoreUnavailable
        yield

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Stores:
    """A log and read models of it."""

    write: WriteStore
    reader: WriteStoreReader
    read: ReadStore


class Scene:
    """A runner with two projections, which can be started again over the same stores."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.log = OrderLog(stores.write)
        self.read_store = FailingReadStore(stores.read)
        self.first = CountingProjection("first")
        self.second = CountingProjection("second")
        self.moves = 0
        self.batch_events_max = 1000
        self.restart()

    def restart(self) -> None:
        """What a crash leaves is what is in the stores."""
        self.registry = CollectorRegistry()
        self.runner = ProjectionRunner(
            projections=[self.first, self.second],
            write_store=self.stores.reader,
            read_store=self.read_store,
            metrics=ProjectionMetrics(self.registry),
            clock=lambda: self.log.now,
            moved=self._moved,
            batch_events_max=self.batch_events_max,
        )

    def catch_up(self) -> None:
        self.runner.verify()
        while self.runner.advance():
            pass

    def checkpoint(self, projection: CountingProjection) -> Checkpoint | None:
        with self.stores.read.begin() as unit:
            return unit.checkpoints.get(projection.name)

    def rows(self, projection: CountingProjection) -> list[int]:
        with self.stores.read.begin() as unit:
            keys = [(position,) for position in range(1, 100)]
            return sorted(key[0] for key in unit.tables.fetch(projection.table, keys))

    def sample(self, metric: str, projection: CountingProjection) -> float | None:
        return self.registry.get_sample_value(
            f"orderes_projection_{metric}", {"projection": projection.name}
        )

    def _moved(self) -> None:
        self.moves += 1
