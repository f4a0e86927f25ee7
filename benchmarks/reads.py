"""What the read side does with many events, measured: `python -m benchmarks.reads`."""

from functools import partial
from pathlib import Path

import click

from benchmarks.ground import Ground
from benchmarks.measures.catching_up import measure_catching_up
from benchmarks.measures.querying import measure_querying
from benchmarks.measures.rebuilding import measure_rebuilding
from benchmarks.measures.slow_watching import measure_slow_watching
from benchmarks.measures.visibility import measure_visibility
from benchmarks.suite import Measure, Suite


def measures(events: int, watch_seconds: float, path: Path) -> dict[str, Measure]:
    """What is measured, by name."""
    ground = Ground(path / "many", events)
    return {
        "catching-up": partial(measure_catching_up, ground),
        "querying": partial(measure_querying, ground, path / "few"),
        "rebuilding": partial(measure_rebuilding, ground),
        "visibility": partial(measure_visibility, ground),
        "watching": partial(measure_slow_watching, ground, watch_seconds),
    }


@click.command()
@click.option(
    "--events",
    type=click.IntRange(min=2_000),
    default=1_000_000,
    show_default=True,
    help="How many there are in the log.",
)
@click.option(
    "--watch-seconds",
    type=click.FloatRange(min=5),
    default=60.0,
    show_default=True,
    help="How long a client watches slowly.",
)
@click.option(
    "--only",
    type=click.Choice(
        ["catching-up", "querying", "rebuilding", "visibility", "watching"]
    ),
    multiple=True,
    help="Measure this alone, on the same events; more than once for more.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all figures to this file, too.",
)
def main(
    events: int, watch_seconds: float, only: tuple[str, ...], json_path: Path | None
) -> None:
    """Measure what the read side does with many events, and print it."""
    suite = Suite(
        title="The read side", measures=partial(measures, events, watch_seconds)
    )
    suite.run(only=only, json_path=json_path)


if __name__ == "__main__":
    main()
