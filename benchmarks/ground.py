"""The stores on which the read side is measured: made once, used by each measure in turn."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.big_store import fill
from benchmarks.fleet import Say
from benchmarks.process import wait_for
from benchmarks.read_side import Projector, Sampled, sampled

SEED = 1
CATCH_UP_SECONDS_MAX = 3600.0
SAY_EVERY = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """How a projector that began with nothing came to the end of the log."""

    seconds: float
    seen: Sampled
    database_bytes: int


@dataclass(slots=True)
class Ground:
    """A data directory with that many events, and read models made of them."""

    data_dir: Path
    events: int
    orders: list[str] = field(default_factory=list)
    """Ids, oldest first."""
    catch_up: CatchUp | None = None

    def prepare(self, say: Say) -> CatchUp:
        """Makes both stores, if they are not there yet."""
        if self.catch_up is None:
            self._fill(say)
            self.catch_up = self._catch_up(say)
        return self.catch_up

    def _fill(self, say: Say) -> None:
        said = 0

        def tell(stored: int) -> None:
            nonlocal said
            if stored - said >= SAY_EVERY:
                said = stored
                say(f"{stored:,} events stored")

        self.data_dir.mkdir(parents=True)
        self.orders = fill(
            self.data_dir / "write.db", events=self.events, seed=SEED, say=tell
        )

    def _catch_up(self, say: Say) -> CatchUp:
        say(f"a projector that has nothing, and {self.events:,} events")
        began = time.monotonic()
        with Projector(self.data_dir) as projector:
            with sampled(projector) as seen:
                wait_for(lambda: projector.is_at(self.events), CATCH_UP_SECONDS_MAX)
                seconds = time.monotonic() - began
            projector.stop()
        return CatchUp(
            seconds=seconds,
            seen=seen,
            database_bytes=(self.data_dir / "read.db").stat().st_size,
        )
