"""Many commands through one stream: the memory of the server does not depend on how many."""

from pathlib import Path

from benchmarks.fleet import Say, generators, run_shared, soon
from benchmarks.generator.jobs import Job, Work
from benchmarks.report import Report, counts, megabytes
from benchmarks.server import WriteServer, watched

COMMANDS = 50_000

SETTLED_SHARE = 0.4
"""By then the server's cache of orders is as full as it gets."""


def measure_streaming(directory: Path, say: Say) -> Report:
    """Sends them, as fast as flow control lets them go.

    Args:
        directory: For the data.
        say: Is told how far it is.
    """
    with WriteServer(directory) as server, generators(1) as fleet:
        say(f"{COMMANDS:,} commands")
        used = server.cpu_seconds()
        with watched(server) as seen:
            job = Job(
                work=Work.STREAM, address=server.address, begin=soon(), count=COMMANDS
            )
            tally = run_shared(fleet, job)
        used = server.cpu_seconds() - used
        server.stop()
    memory = seen.resident_bytes
    settled = memory[int(SETTLED_SHARE * len(memory))]
    rate = tally.succeeded / tally.seconds
    depth, capacity = seen.deepest("normal"), seen.capacities["normal"]
    return Report(
        name="streaming",
        title=f"StreamCommands: {COMMANDS:,} commands through one stream",
        rows=[
            (
                "rate",
                f"{rate:,.0f} commands/s; server CPU {1e6 * used / COMMANDS:.0f} µs each",
            ),
            ("answers", f"{counts(tally.ended)}; the stream {counts(tally.calls)}"),
            ("queue (normal), deepest seen", f"{depth} of {capacity}"),
            (
                "memory",
                (
                    f"{megabytes(memory[0])} at the start, {megabytes(settled)} after "
                    f"{SETTLED_SHARE:.0%} of the time, {megabytes(memory[-1])} at the end"
                ),
            ),
        ],
        figures={
            "commands_per_second": rate,
            "cpu_seconds_per_command": used / COMMANDS,
            "ended": tally.ended,
            "calls": tally.calls,
            "depth_max": depth,
            "capacity": capacity,
            "resident_bytes": memory,
        },
    )
