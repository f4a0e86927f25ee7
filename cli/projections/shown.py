"""Projections as operators read them: a table first, then what needs attention."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from cli.output import (
    console,
    enum_text,
    print_facts,
    print_table,
    span_text,
    table,
    time_text,
)
from cli.projections.details import Details, rate_text
from orderes.v1.projection_admin_service_pb2 import Projection, ProjectionState

LEGEND = "behind: events not in it yet; lag: since when it is not known to be complete"

_STATES: dict[int, str] = {number: name for name, number in ProjectionState.items()}
_STYLES: dict[int, str] = {
    ProjectionState.PROJECTION_STATE_FAILED: "bold red",
    ProjectionState.PROJECTION_STATE_STALLED: "red",
    ProjectionState.PROJECTION_STATE_PAUSED: "yellow",
    ProjectionState.PROJECTION_STATE_REBUILDING: "cyan",
}
_RUNNING = {
    ProjectionState.PROJECTION_STATE_RUNNING,
    ProjectionState.PROJECTION_STATE_REBUILDING,
}


def print_projections(projections: Sequence[Projection], *, flag: str) -> None:
    """Shows all of them, within 80 columns.

    Args:
        projections: How they are.
        flag: Names the projector in a line to type; empty for the usual one.
    """
    out = console()
    if not projections:
        out.print("No projections.")
        return
    out.print(_heading(projections))
    print_rows(projections)
    for projection in projections:
        Details(out, projection, flag=flag).show()


def print_projection(projection: Projection, *, flag: str) -> None:
    """Shows one of them, after a change."""
    print_rows([projection])
    Details(console(), projection, flag=flag).show()


def print_rows(projections: Sequence[Projection]) -> None:
    """Shows how far each is, and who owns it."""
    out = console()
    # Each is a row: there may be more of them than a terminal has room for beside each
    # other. Who owns them stands below, because the id of a process is long.
    rows = table("projection", "state", "#position", "#behind", "#lag", "#events/s")
    for projection in projections:
        rows.add_row(
            escape(projection.name),
            _state_text(projection),
            *_reach_of(projection),
            rate_text(projection.events_per_second),
        )
    out.print()
    print_table(out, rows)
    out.print()
    _print_owners(out, projections)
    out.print(f"\n[dim]{LEGEND}[/dim]")


def _heading(projections: Sequence[Projection]) -> str:
    still = sum(projection.state not in _RUNNING for projection in projections)
    if not still:
        return "[bold green]Every projection runs.[/bold green]"
    stands = "stand" if still > 1 else "stands"
    counted = f"{still} of {len(projections)} projections {stands} still."
    return f"[bold red]{counted}[/bold red]"


def _state_text(projection: Projection) -> str:
    shown = enum_text(_STATES, projection.state, "PROJECTION_STATE_")
    style = _STYLES.get(projection.state)
    return f"[{style}]{shown}[/{style}]" if style else shown


def _reach_of(projection: Projection) -> tuple[str, str, str]:
    """Position, events behind, and lag of what serves queries."""
    if not projection.generation:
        return "-", "-", "-"
    lag = "-"
    if projection.HasField("lag"):
        seconds = projection.lag.ToTimedelta().total_seconds()
        lag = span_text(seconds) if seconds else "< 2 s"
    behind = max(projection.head_position - projection.position, 0)
    return f"{projection.position:,}", f"{behind:,}", lag


def _print_owners(out: Console, projections: Sequence[Projection]) -> None:
    """Who owns them, each owner once."""
    owned: dict[str, list[Projection]] = {}
    for projection in projections:
        owned.setdefault(projection.owner, []).append(projection)
    for owner, those in owned.items():
        names = ", ".join(projection.name for projection in those)
        heard = [
            time_text(projection.heartbeat_time)
            for projection in those
            if projection.HasField("heartbeat_time")
        ]
        print_facts(
            out,
            [
                ("owner", owner or "none"),
                ("of", names if len(owned) > 1 else ""),
                ("last heard of", f"{min(heard)} UTC" if heard else "never"),
            ],
        )
