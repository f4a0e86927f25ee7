"""What the write server does under bursts, measured: `python -m benchmarks.bursts`."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.fleet import Say
from benchmarks.machine import machine
from benchmarks.measures.goodput import measure_goodput
from benchmarks.measures.lanes import measure_lanes
from benchmarks.measures.overflow import measure_overflow
from benchmarks.measures.streaming import measure_streaming
from benchmarks.report import Report, table

LANES_SHARE = 0.6
BACKLOG_CAPACITIES = (20_000, 15_000)
"""One that holds the whole burst, and one that does not."""

Measure = Callable[[Path, Say], Report]


def measures(seconds: float) -> dict[str, Measure]:
    """What is measured, by name."""
    return {
        "goodput": lambda path, say: measure_goodput(seconds, path, say),
        "lanes": lambda path, say: measure_lanes(LANES_SHARE * seconds, path, say),
        **{
            f"overflow {capacity}": _overflow(capacity)
            for capacity in BACKLOG_CAPACITIES
        },
        "streaming": measure_streaming,
    }


def _overflow(capacity: int) -> Measure:
    return lambda path, say: measure_overflow(capacity, path, say)


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="How long ten times the callers call; what else takes time takes a part of it.",
)
@click.option(
    "--only",
    type=click.Choice(["goodput", "lanes", "overflow", "streaming"]),
    multiple=True,
    help="Measure this alone; more than once for more.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all figures to this file, too.",
)
def main(seconds: float, only: tuple[str, ...], json_path: Path | None) -> None:
    """Measure what the write server does under bursts, and print it."""
    began = time.monotonic()
    ran_on = machine()
    reports: list[Report] = []
    with tempfile.TemporaryDirectory(prefix="orderes-bursts-") as directory:
        for name, measure in measures(seconds).items():
            if only and name.split()[0] not in only:
                continue
            say = _saying(name, began)
            path = Path(directory) / name.replace(" ", "-")
            reports.append(measure(path, say))
    _print(ran_on, reports, began)
    if json_path is not None:
        figures = {report.name: report.figures for report in reports}
        content = {"machine": ran_on, "seconds": seconds, "measures": figures}
        json_path.write_text(json.dumps(content, indent=2) + "\n")


def _saying(name: str, began: float) -> Say:
    def say(what: str) -> None:
        click.echo(f"[{time.monotonic() - began:4.0f} s] {name}: {what}", err=True)

    return say


def _print(ran_on: dict[str, str], reports: list[Report], began: float) -> None:
    click.echo(
        f"\nThe write server under bursts: {' '.join(sys.argv[1:]) or 'as shipped'}"
    )
    click.echo(", ".join(f"{name} {value}" for name, value in ran_on.items()))
    for report in reports:
        click.echo("\n" + table(report.title, report.rows))
    click.echo(f"\nMeasured in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
