"""How fast commands and queries are, measured: `python -m benchmarks.bench`."""

import sys
from functools import partial
from pathlib import Path

import click

from benchmarks.measures.speed import measure_speed
from benchmarks.suite import Measure, Suite

ROUNDS = 5
SECONDS = 3.0


def measures(rounds: int, seconds: float, path: Path) -> dict[str, Measure]:
    """What is measured, by name."""
    return {"speed": partial(measure_speed, rounds, seconds, path / "speed")}


@click.command()
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=ROUNDS,
    show_default=True,
    help="How often each row has its turn.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=SECONDS,
    show_default=True,
    help="How long a turn is.",
)
@click.option(
    "--check", is_flag=True, help="Fail if a row is below its floor: exit code 1."
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all figures to this file, too.",
)
def main(rounds: int, seconds: float, json_path: Path | None, *, check: bool) -> None:
    """Measure how fast commands and queries are beside an empty RPC, and print it."""
    suite = Suite(title="Speed", measures=partial(measures, rounds, seconds))
    (report,) = suite.run(only=(), json_path=json_path)
    if check and report.figures["below_the_floor"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
