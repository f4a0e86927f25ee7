"""`orderes verify`: whether the stores hold what they should."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from cli.output import console, print_facts, print_table, table
from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.process.lifecycle import EXIT_CANNOT_START
from projector.bootstrap import verify as verify_stores
from projector.verification import OnProgress, Report

EXIT_NOT_SOUND = 1
JSON_INDENT = 2


@click.command("verify")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="ORDERES_DATA_DIR",
    show_envvar=True,
    help="Directory of the databases.",
)
@click.option(
    "--scratch-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    help="Where the read models are folded again, which takes as much room as they "
    "do.  [default: that of temporary files]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def verify(data_dir: Path, scratch_dir: Path | None, *, as_json: bool) -> None:
    """Read the whole log, fold it, and compare it with every read model.

    Works on the files of this machine, also while the processes run. Exit code 0 if all
    is as it should be; 1 if something differs, was not verified or has stopped; 78 if it
    cannot verify at all.
    """
    try:
        with _progress(shown=not as_json) as on_progress:
            report = verify_stores(
                data_dir, scratch_dir=scratch_dir, on_progress=on_progress
            )
    except (StartFailed, StoreUnavailable) as error:
        click.echo(f"orderes verify: {error.message}", err=True)
        sys.exit(EXIT_CANNOT_START)
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(report), indent=JSON_INDENT)
        click.echo(text.decode())
    else:
        _print(console(), report)
    if not report.sound:
        sys.exit(EXIT_NOT_SOUND)


@contextmanager
def _progress(*, shown: bool) -> Iterator[OnProgress]:
    """Shows how far it is, on a terminal."""
    err = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=err, transient=True, disable=not (shown and err.is_terminal)
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def on_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done, total=total)

        yield on_progress


def _print(out: Console, report: Report) -> None:
    _print_found(out, report)
    print_facts(out, [("store", report.store_id), ("events", f"{report.events:,}")])
    if report.verified:
        models = table("~read model", "#generation", "role", "#position", "#rows")
        for each in report.verified:
            models.add_row(
                each.projection,
                str(each.generation),
                each.role,
                f"{each.position:,}",
                f"{each.rows:,}",
            )
        out.print()
        print_table(out, models)
    skips = [
        f"{each.projection}, generation {each.generation}: position {skip.position}, "
        f"{skip.event_type} {skip.event_id}: {skip.reason}"
        for each in report.verified
        for skip in each.skips
    ]
    _print_list(out, "Left out by operators:", skips)
    _print_list(out, "To be known:", report.notes)


def _print_found(out: Console, report: Report) -> None:
    """The headline, which is never better than what follows it."""
    if report.findings:
        count = f"{report.findings_total:,} finding{'s'[: report.findings_total != 1]}"
        out.print(f"[bold red]{count}[/bold red]")
    elif report.unsettled:
        out.print(
            "[bold yellow]Nothing wrong was found, but not everything was verified or goes "
            "on.[/bold yellow]"
        )
    else:
        out.print("[bold green]Everything is as it should be.[/bold green]")
    for finding in report.findings:
        out.print(f"  {escape(finding)}")
    _print_list(out, "Not verified, or stopped:", report.unsettled)
    if report.unsettled:
        out.print()


def _print_list(out: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        out.print(f"\n{title}")
    for line in lines:
        out.print(f"  {escape(line)}")
