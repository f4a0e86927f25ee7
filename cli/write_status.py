"""`orderes status`: how the write side is."""

from collections.abc import Callable, Sequence

import click
from rich.console import Console
from rich.markup import escape

from cli.administration import Administering, administers
from cli.output import (
    console,
    enum_text,
    json_text,
    print_facts,
    print_table,
    table,
    time_text,
)
from cli.program import own_command
from cli.receipt import lane_text
from orderes.v1.write_admin_service_pb2 import (
    FullPolicy,
    GetWriteStatusRequest,
    GetWriteStatusResponse,
    LaneStatus,
)

NEARLY_FULL = 0.8
"""From this share of what it holds a lane is marked."""

_POLICIES: dict[int, str] = {number: name for name, number in FullPolicy.items()}


def _policy_text(lane: LaneStatus) -> str:
    return enum_text(_POLICIES, lane.full_policy, "FULL_POLICY_").lower()


def _share(used: int, most: int) -> str:
    """`12 of 1,000`, in colour where there is little room left."""
    shown = f"{used:,} of {most:,}"
    if used >= most:
        return f"[red]{shown}[/red]"
    if used >= NEARLY_FULL * most:
        return f"[yellow]{shown}[/yellow]"
    return shown


def _age_text(lane: LaneStatus) -> str:
    seconds = lane.oldest_age.ToTimedelta().total_seconds()
    return f"{seconds:,.1f} s" if lane.depth or lane.backlog else "-"


_ROWS: Sequence[tuple[str, Callable[[LaneStatus], str]]] = (
    ("when full", _policy_text),
    ("in the queue", lambda lane: _share(lane.depth, lane.capacity)),
    ("oldest", _age_text),
    ("held back", lambda lane: f"{lane.holding:,}"),
    ("on disk", lambda lane: _share(lane.backlog, lane.backlog_capacity)),
    ("taken in", lambda lane: f"{lane.accepted_total:,}"),
    ("refused", lambda lane: f"{lane.refused_total:,}"),
)
"""What is shown of a lane. Lanes are columns: that fits a narrow terminal."""


@click.command("status")
@administers
def status(administering: Administering) -> None:
    """Show how the write side is: its queue, what waits on disk, what failed."""
    answer = administering.ask(
        lambda admin: admin.GetWriteStatus, GetWriteStatusRequest()
    )
    if administering.as_json:
        click.echo(json_text(answer))
    else:
        print_status(answer, admin_flag=administering.flag)


def print_status(answer: GetWriteStatusResponse, *, admin_flag: str) -> None:
    """Shows the whole of it, within 80 columns.

    Args:
        answer: How the write side is.
        admin_flag: Names the write server in a line to type; empty for the usual one.
    """
    out = console()
    _print_heading(out, answer)
    print_facts(
        out,
        [
            ("store", answer.store_id),
            ("position", f"{answer.head_position:,}"),
            ("stored, not yet executed", f"{answer.backlog:,}"),
            ("failed", f"{answer.failed:,}"),
        ],
    )
    lanes = table("~lane", *(f"#{lane_text(lane.lane)}" for lane in answer.lanes))
    for name, shown in _ROWS:
        lanes.add_row(name, *(shown(lane) for lane in answer.lanes))
    out.print()
    print_table(out, lanes)
    out.print("\n[dim]taken in and refused: since the write server started[/dim]")
    if answer.failed:
        # On a line of its own: with an address it would not fit behind the words.
        out.print("See what failed:")
        out.print(f"  {own_command()} commands failed{admin_flag}")
    if answer.paused:
        out.print(f"Go on: {own_command()} resume{admin_flag} --reason …")


def _print_heading(out: Console, answer: GetWriteStatusResponse) -> None:
    if not answer.paused:
        out.print("[bold green]Commands are executed.[/bold green]")
        return
    since = f"since {time_text(answer.pause_time)} UTC"
    out.print(f"[bold yellow]Execution is paused[/bold yellow] {since}:")
    out.print(f"  {escape(answer.pause_reason)}")
