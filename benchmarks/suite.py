"""Measures that run one after the other: what they find is printed, and written to a file."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.fleet import Say
from benchmarks.machine import machine
from benchmarks.report import Report, table

Measure = Callable[[Say], Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Measures of one subject."""

    title: str
    measures: Callable[[Path], Mapping[str, Measure]]
    """What is measured, by name, with a directory for its data."""

    def run(self, *, only: Collection[str], json_path: Path | None) -> list[Report]:
        """Measures, says what it found, and returns it.

        Args:
            only: The first words of the names of what to measure; everything if empty.
            json_path: Gets all figures.
        """
        began = time.monotonic()
        ran_on = machine()
        reports: list[Report] = []
        click.echo(f"{self.title}: {' '.join(sys.argv[1:]) or 'as shipped'}")
        click.echo(", ".join(f"{name} {value}" for name, value in ran_on.items()))
        with tempfile.TemporaryDirectory(prefix="orderes-benchmarks-") as directory:
            for name, measure in self.measures(Path(directory)).items():
                if only and name.split()[0] not in only:
                    continue
                report = measure(_saying(name, began))
                # At once: who stops it before its end keeps what there is.
                click.echo("\n" + table(report.title, report.rows))
                reports.append(report)
        click.echo(f"\nMeasured in {time.monotonic() - began:.0f} s.")
        if json_path is not None:
            figures = {report.name: report.figures for report in reports}
            content = {"machine": ran_on, "run": sys.argv[1:], "measures": figures}
            json_path.write_text(json.dumps(content, indent=2) + "\n")
        return reports


def _saying(name: str, began: float) -> Say:
    def say(what: str) -> None:
        click.echo(f"[{time.monotonic() - began:4.0f} s] {name}: {what}", err=True)

    return say
