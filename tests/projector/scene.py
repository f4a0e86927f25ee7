"""A runner with two projections, over stores that outlive it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StoreUnavailable
from eventcore.generations import Generation, Role, Skip, served
from eventcore.memory.read_store import MemoryReadStore
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import Instant
from eventcore.operators import Pause
from eventcore.read_store import ReadStore, ReadStoreReader
from eventcore.telemetry import ProjectionMetrics
from eventcore.write_store import WriteSnapshot, WriteStore, WriteStoreReader
from projector.comparison import Comparisons
from projector.runner import FRESHNESS_SECONDS, ProjectionRunner, RunnerLimits
from tests.projector.examples import CountingProjection, FailingReadStore
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND, OrderLog

STORE_ID = an_id()
ROUNDS_MAX = 10_000
"""A runner that is not at rest after so many never will be."""


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
    open_reader: Callable[[], ReadStoreReader]


def a_pause(time: Instant) -> Pause:
    return Pause(reason="to look", time=time)


def a_skip(position: int, time: Instant) -> Skip:
    return Skip(
        position=position,
        event_id=an_id(),
        event_type="OrderPlaced",
        reason="it is lost",
        time=time,
    )


def a_scene_in_memory() -> "Scene":
    """One over stores that live as long as it does."""
    memory, read = MemoryWriteStore(store_id=STORE_ID), MemoryReadStore()
    return Scene(Stores(memory, memory, read, lambda: read))


class Scene:
    """A runner with two projections, which can be started again over the same stores."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.log = OrderLog(stores.write)
        self.read_store = FailingReadStore(stores.read)
        self.first = CountingProjection("first")
        self.second = CountingProjection("second")
        self.moves = 0
        self.seconds = 1000.0
        """On the clock that only grows."""
        self.limits = RunnerLimits()
        self.comparisons: Comparisons | None = None
        self.restart()

    def restart(self, *, owner: str = "this", seize: bool = True) -> None:
        """What a crash leaves is what is in the stores."""
        self.close()
        self.comparisons = Comparisons(self.stores.open_reader)
        self.registry = CollectorRegistry()
        self.runner = ProjectionRunner(
            projections=[self.first.declared, self.second.declared],
            write_store=self.stores.reader,
            read_store=self.read_store,
            comparisons=self.comparisons,
            metrics=ProjectionMetrics(self.registry),
            clock=lambda: self.log.now,
            moved=self._moved,
            owner=owner,
            seize=seize,
            limits=self.limits,
            monotonic=lambda: self.seconds,
        )

    def close(self) -> None:
        if self.comparisons is not None:
            self.comparisons.close()

    def catch_up(self) -> None:
        """Starts it, and lets it work until it is at rest."""
        self.runner.verify()
        self.work()

    def work(self) -> None:
        """Lets it work until it is at rest, rebuilds included."""
        for _ in range(ROUNDS_MAX):
            wait_seconds = self.runner.advance()
            if wait_seconds >= FRESHNESS_SECONDS:
                return
            self.seconds += wait_seconds
            # What a comparison does on its thread takes its own time.
            time.sleep(0.0005 if wait_seconds else 0)
        raise AssertionError("it does not come to rest")

    def pass_time(self, seconds: float) -> None:
        """Time passes, on every clock, and the runner looks now and then."""
        for _ in range(round(seconds)):
            self.seconds += 1.0
            self.log.now += SECOND
            self.work()

    def change(self, change: Callable[..., None]) -> None:
        """Makes an operator's change to the register, and has the runner take it over."""
        with self.stores.read.begin() as unit:
            change(unit.register)
            unit.commit()
        self.runner.reload()

    def rebuild(self, projection: CountingProjection) -> None:
        """Has a projection made anew."""
        self.change(
            lambda register: register.add_generation(
                projection.declared,
                role=Role.BUILDING,
                now=self.log.now,
                reason="asked",
            )
        )

    def generations(self, projection: CountingProjection) -> list[Generation]:
        with self.stores.read.begin() as unit:
            return unit.register.generations(projection.name)

    def roles(self, projection: CountingProjection) -> dict[int, Role]:
        return {each.number: each.role for each in self.generations(projection)}

    def served(self, projection: CountingProjection) -> Generation | None:
        return served(self.generations(projection), version=projection.declared.version)

    def checkpoint(self, projection: CountingProjection) -> Checkpoint | None:
        """How far what serves is; None if nothing does."""
        generation = self.served(projection)
        return None if generation is None else generation.checkpoint

    def rows(
        self, projection: CountingProjection, generation: int | None = None
    ) -> list[int]:
        """The positions of the events that a generation holds, by default the one that serves."""
        if generation is None:
            present = self.served(projection)
            generation = 0 if present is None else present.number
        return sorted(self.texts(projection, generation))

    def texts(self, projection: CountingProjection, generation: int) -> dict[int, str]:
        reader = self.stores.open_reader()
        with reader.snapshot() as snapshot:
            if generation not in self.roles(projection):
                return {}
            chunks = snapshot.generation(generation).scan(projection.table)
            found = {row[0]: row[1] for rows in chunks for row in rows}
        reader.close()
        return found

    def sample(self, metric: str, projection: CountingProjection) -> float | None:
        return self.registry.get_sample_value(
            f"orderes_projection_{metric}", {"projection": projection.name}
        )

    def _moved(self) -> None:
        self.moves += 1
