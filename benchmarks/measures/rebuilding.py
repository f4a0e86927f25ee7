"""How long the rebuild of a read model takes, and what queries notice of it."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.fleet import Say
from benchmarks.ground import Ground
from benchmarks.measures.querying import get_order, timed
from benchmarks.process import wait_for
from benchmarks.read_side import (
    PROJECTIONS,
    Projector,
    ReadServer,
    milliseconds,
    sampled,
    spread,
)
from benchmarks.report import Report, megabytes

REBUILD_SECONDS_MAX = 3600.0
QUERY_EVERY_SECONDS = 0.02
QUIET_SECONDS = 5.0


def measure_rebuilding(ground: Ground, say: Say) -> Report:
    """Rebuilds each read model in turn, with the projector as shipped.

    Args:
        ground: What is rebuilt.
        say: Is told how far it is.
    """
    ground.prepare(say)
    rows: list[tuple[str, str]] = []
    figures: dict[str, object] = {}
    with Projector(ground.data_dir) as projector, ReadServer(ground.data_dir) as server:
        wait_for(lambda: projector.is_at(ground.events), REBUILD_SECONDS_MAX)
        with asked(server, ground) as quiet:
            time.sleep(QUIET_SECONDS)
        rows.append(("GetOrder without one", spread(quiet)))
        for name in PROJECTIONS:
            say(name)
            with sampled(projector) as seen, asked(server, ground) as taken:
                began = time.monotonic()
                comparison = _rebuild(projector, name)
                seconds = time.monotonic() - began
            rows += [
                (
                    name,
                    (
                        f"{seconds:.0f} s, CPU {seen.cpu_seconds:.0f} s, "
                        f"{megabytes(max(seen.resident_bytes))}; {comparison}"
                    ),
                ),
                ("  GetOrder meanwhile", spread(taken)),
            ]
            figures[name] = {
                "seconds": seconds,
                "cpu_seconds": seen.cpu_seconds,
                "resident_bytes_max": max(seen.resident_bytes),
                "get_order_milliseconds": milliseconds(taken),
            }
        projector.stop()
        server.stop()
    return Report(
        name="rebuilding",
        title=f"Rebuilding, beside the one that serves: {ground.events:,} events",
        rows=rows,
        figures={"get_order_quiet_milliseconds": milliseconds(quiet), **figures},
    )


def _rebuild(projector: Projector, name: str) -> str:
    """Waits until the new generation serves; what the comparison has shown."""
    before = projector.shown()[name].generation
    projector.rebuild(name)

    def serves() -> str | None:
        shown = projector.shown()[name]
        return shown.comparison if shown.generation > before else None

    return wait_for(serves, REBUILD_SECONDS_MAX)


@contextmanager
def asked(server: ReadServer, ground: Ground) -> Iterator[list[float]]:
    """GetOrder, again and again, while the block runs: the seconds that each call took."""
    taken: list[float] = []
    over = threading.Event()
    query = get_order(server.queries, ground.orders)
    chance = random.Random(2)  # noqa: S311 - nothing here is secret.

    def ask_on() -> None:
        while not over.wait(QUERY_EVERY_SECONDS):
            taken.append(timed(query, chance))

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
