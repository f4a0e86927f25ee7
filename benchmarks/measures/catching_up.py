"""How fast a projector that has nothing comes to the end of the log, and in how much memory."""

from benchmarks.fleet import Say
from benchmarks.ground import Ground
from benchmarks.read_side import PROJECTIONS
from benchmarks.report import Report, megabytes

SETTLED_SHARE = 0.2
"""By then it has all that it needs, whatever there is to apply."""


def measure_catching_up(ground: Ground, say: Say) -> Report:
    """Makes the read models of the log, all four in one run.

    Args:
        ground: Where the log is.
        say: Is told how far it is.
    """
    made = ground.prepare(say)
    memory = made.seen.resident_bytes
    settled = memory[int(SETTLED_SHARE * len(memory))]
    rate = ground.events / made.seconds
    applied = ground.events * len(PROJECTIONS)
    return Report(
        name="catching_up",
        title=f"Catching up: {ground.events:,} events, {len(PROJECTIONS)} read models at once",
        rows=[
            (
                "time",
                f"{made.seconds:.0f} s; projector CPU {made.seen.cpu_seconds:.0f} s",
            ),
            ("rate", f"{rate:,.0f} events/s into each"),
            (
                "cost",
                f"{1e6 * made.seen.cpu_seconds / applied:.0f} µs for an event in a read model",
            ),
            (
                "memory",
                (
                    f"{megabytes(settled)} after {SETTLED_SHARE:.0%} of the time, "
                    f"{megabytes(memory[-1])} at the end, at most {megabytes(max(memory))}"
                ),
            ),
            ("read.db", megabytes(made.database_bytes)),
        ],
        figures={
            "events": ground.events,
            "seconds": made.seconds,
            "cpu_seconds": made.seen.cpu_seconds,
            "events_per_second": rate,
            "resident_bytes": memory,
            "database_bytes": made.database_bytes,
        },
    )
