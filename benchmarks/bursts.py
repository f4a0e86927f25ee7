"""What the write server does under bursts, measured: `python -m benchmarks.bursts`."""

from functools import partial
from pathlib import Path

import click

from benchmarks.measures.goodput import measure_goodput
from benchmarks.measures.lanes import measure_lanes
from benchmarks.measures.overflow import measure_overflow
from benchmarks.measures.streaming import measure_streaming
from benchmarks.suite import Measure, Suite

LANES_SHARE = 0.6
BACKLOG_CAPACITIES = (20_000, 15_000)
"""One that holds the whole burst, and one that does not."""


def measures(seconds: float, path: Path) -> dict[str, Measure]:
    """What is measured, by name."""
    return {
        "goodput": partial(measure_goodput, seconds, path / "goodput"),
        "lanes": partial(measure_lanes, LANES_SHARE * seconds, path / "lanes"),
        **{
            f"overflow {capacity}": partial(
                measure_overflow, capacity, path / f"overflow-{capacity}"
            )
            for capacity in BACKLOG_CAPACITIES
        },
        "streaming": partial(measure_streaming, path / "streaming"),
    }


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
    suite = Suite(
        title="The write server under bursts", measures=partial(measures, seconds)
    )
    suite.run(only=only, json_path=json_path)


if __name__ == "__main__":
    main()
