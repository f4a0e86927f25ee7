"""Ten times the callers that a server can serve: it goes on serving as many."""

from pathlib import Path
from statistics import median

from benchmarks.fleet import (
    LoadGenerator,
    Say,
    generators,
    merged,
    percentile,
    run_shared,
    soon,
)
from benchmarks.generator.jobs import Job, Tally, Work
from benchmarks.report import Report, counts, megabytes
from benchmarks.server import Watched, WriteServer, watched

FEW_CALLERS = 64
MANY_CALLERS = 640
ROUNDS = 6
GENERATORS = 2

WARM_UP_COMMANDS = 12_000
"""More orders than the server's cache holds, so that what it grows to is there from the start."""

Rounds = dict[int, list[Tally]]


def measure_goodput(seconds: float, directory: Path, say: Say) -> Report:
    """Sends orders with few callers and with many, in turns.

    Args:
        seconds: For which the many callers call, in all; the few call half as long.
        directory: For the data.
        say: Is told how far it is.
    """
    rounds: Rounds = {FEW_CALLERS: [], MANY_CALLERS: []}
    cpu_seconds = dict.fromkeys(rounds, 0.0)
    with WriteServer(directory) as server, generators(GENERATORS) as fleet:
        _warm_up(server, fleet)
        before = server.resident_bytes()
        with watched(server) as seen:
            for number in range(ROUNDS):
                for callers in rounds:
                    say(f"round {number + 1} of {ROUNDS}: {callers} callers")
                    share = 1.0 if callers == MANY_CALLERS else 0.5
                    used = server.cpu_seconds()
                    job = Job(
                        work=Work.PLACE,
                        address=server.address,
                        begin=soon(),
                        callers=callers,
                        seconds=share * seconds / ROUNDS,
                    )
                    rounds[callers].append(run_shared(fleet, job))
                    cpu_seconds[callers] += server.cpu_seconds() - used
        after = server.resident_bytes()
        server.stop()
    return _report(rounds, cpu_seconds, seen, (before, after))


def _warm_up(server: WriteServer, fleet: list[LoadGenerator]) -> None:
    job = Job(
        work=Work.PREPARE, address=server.address, begin=0.0, count=WARM_UP_COMMANDS
    )
    run_shared(fleet, job)


def _report(
    rounds: Rounds,
    cpu_seconds: dict[int, float],
    seen: Watched,
    memory: tuple[int, int],
) -> Report:
    rows: list[tuple[str, str]] = []
    figures: dict[str, object] = {}
    for callers, tallies in rounds.items():
        found = _callers(callers, tallies, cpu_seconds[callers])
        rows += found.rows
        figures |= found.figures
    ratio = _rate(rounds[MANY_CALLERS]) / _rate(rounds[FEW_CALLERS])
    depth, capacity = seen.deepest("normal"), seen.capacities["normal"]
    rows += [
        ("goodput under ten times the callers", f"{ratio:.2f} of capacity"),
        ("queue (normal), deepest seen", f"{depth} of {capacity}"),
        ("memory before and after", " and ".join(megabytes(size) for size in memory)),
    ]
    figures |= {
        "ratio": ratio,
        "depth_max": depth,
        "capacity": capacity,
        "resident_bytes_before": memory[0],
        "resident_bytes_after": memory[1],
    }
    title = f"Ten times the callers, {ROUNDS} rounds in turns, medians"
    return Report(name="goodput", title=title, rows=rows, figures=figures)


def _callers(callers: int, tallies: list[Tally], cpu_seconds: float) -> Report:
    """What so many callers got."""
    whole = merged(tallies)
    p50, p99 = (percentile(whole.latencies, share) for share in (0.5, 0.99))
    cpu = cpu_seconds / len(whole.latencies)
    title = f"{callers} callers"
    rate = (
        f"{_rate(tallies):,.0f} commands/s; a call {1000 * p50:.0f} ms, p99 "
        f"{1000 * p99:.0f} ms; server CPU {1e6 * cpu:.0f} µs each"
    )
    return Report(
        name=title,
        title=title,
        rows=[(title, rate), ("  answers", counts(whole.calls))],
        figures={
            title: {
                "commands_per_second": [t.succeeded / t.seconds for t in tallies],
                "p50_seconds": p50,
                "p99_seconds": p99,
                "cpu_seconds_per_command": cpu,
                "answers": whole.calls,
            }
        },
    )


def _rate(tallies: list[Tally]) -> float:
    return median(tally.succeeded / tally.seconds for tally in tallies)
