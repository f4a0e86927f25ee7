"""What a table has no room for: why a projection stands still, and what to do about it."""

import shlex
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from cli.fitting import print_prose, print_typed
from cli.output import span_text, time_text
from orderes.v1.projection_admin_service_pb2 import (
    Projection,
    ProjectionRebuild,
    ProjectionState,
)

SKIPPED_SHOWN_MAX = 5
"""Skipped events of a projection that are shown; --json has all that the answer has."""
FALLING_BEHIND = "falling behind: events come in faster than they are replayed"
WHEN_FALLING_BEHIND = "It gets there when fewer come in; or give it up"
GIVE_UP = "Or give it up; what serves goes on serving"
REASON = "--reason …"
PROSE_INDENT = 4
SLOW_EVENTS_PER_SECOND = 10
"""Below this a rate is shown with a decimal."""


class Details:
    """Shows a projection, topic by topic.

    Args:
        out: Where to.
        projection: How it is.
        flag: Names the projector in a line to type; empty for the usual one.
    """

    def __init__(self, out: Console, projection: Projection, *, flag: str) -> None:
        self._out = out
        self._projection = projection
        self._flag = flag.strip()
        self._name = shlex.quote(projection.name)

    def show(self) -> None:
        """Shows its name and each topic that there is something to say of, if any."""
        shown = self._projection
        topics: tuple[tuple[bool, Callable[[], None]], ...] = (
            (shown.state == ProjectionState.PROJECTION_STATE_FAILED, self._failure),
            (shown.state == ProjectionState.PROJECTION_STATE_STALLED, self._stall),
            (bool(shown.pause_reason), self._pause),
            (shown.HasField("rebuild"), self._rebuild),
            (shown.HasField("previous"), self._previous),
            (shown.skipped_count > 0, self._skipped),
            (bool(shown.comparison), self._comparison),
        )
        applying = [topic for applies, topic in topics if applies]
        if applying:
            self._out.print(f"\n[bold]{escape(shown.name)}[/bold]")
        for topic in applying:
            topic()

    def step(self, why: str, words: str, *flags: str) -> None:
        """Shows what can be done, with the line to type for it."""
        self._out.print(f"  {why}:")
        line = f"projections {words} {self._name}"
        print_typed(self._out, [line, *flags, self._flag, REASON])

    def go_on(self) -> None:
        """Shows how a rebuild that nobody waits for is followed or given up."""
        self._out.print("  Follow it:")
        print_typed(self._out, ["projections", self._flag])
        self.step(GIVE_UP, "cancel")

    def _failure(self) -> None:
        failed = self._projection
        self._out.print(f"  [red]{stopped_text(failed.error_position)}[/red]")
        self._prose(failed.error)
        self.step("Mend the cause, then go on", "resume")
        if failed.error_position:
            skip = f"--skip-position {failed.error_position}"
            self.step("Or leave this event out, for good", "resume", skip)
        self.step("Or build it anew, once this release can apply the event", "rebuild")

    def _stall(self) -> None:
        heard = "never"
        if self._projection.HasField("heartbeat_time"):
            heard = f"last at {time_text(self._projection.heartbeat_time)} UTC"
        self._out.print(f"  [red]no projector reports for it:[/red] {heard}")
        self._out.print("  See whether the projector runs, and what its log says.")

    def _pause(self) -> None:
        since = ""
        if self._projection.HasField("pause_time"):
            since = f" since {time_text(self._projection.pause_time)} UTC"
        self._out.print(f"  [yellow]paused[/yellow]{since}:")
        self._prose(self._projection.pause_reason)
        self.step("Go on", "resume")

    def _rebuild(self) -> None:
        rebuild = self._projection.rebuild
        since = ""
        if rebuild.HasField("start_time"):
            since = f", begun {time_text(rebuild.start_time)} UTC"
        made = f"rebuild as generation {rebuild.generation}{since}"
        self._out.print(f"  [cyan]{made}{':' if rebuild.reason else ''}[/cyan]")
        self._prose(rebuild.reason)
        self._prose(f"{percent_of(rebuild)} %, {reached_text(rebuild)}")
        if rebuild.error:
            self._failed_rebuild(rebuild)
        elif rebuild.falling_behind:
            self._prose(FALLING_BEHIND, style="yellow")
            self.step(WHEN_FALLING_BEHIND, "cancel")

    def _failed_rebuild(self, rebuild: ProjectionRebuild) -> None:
        stopped = stopped_text(rebuild.error_position)
        self._out.print(f"  [red]the rebuild has {stopped}[/red]")
        self._prose(rebuild.error)
        self.step("Mend the cause, then go on", "resume")
        if rebuild.error_position:
            skip = f"--skip-position {rebuild.error_position}"
            self.step("Or leave this event out of it", "resume", skip)
        self.step(GIVE_UP, "cancel")

    def _previous(self) -> None:
        previous = self._projection.previous
        until = ""
        if previous.HasField("drop_time"):
            until = f" until {time_text(previous.drop_time)} UTC"
        kept = f"generation {previous.generation} is kept{until}"
        if previous.error:
            self._out.print(f"  {kept}, but has stopped:")
            self._prose(previous.error)
        else:
            self.step(f"{kept}; go back to it", "rollback")

    def _skipped(self) -> None:
        count = self._projection.skipped_count
        were = "events were" if count > 1 else "event was"
        self._out.print(f"  [yellow]{count:,} {were} left out:[/yellow]")
        shown = self._projection.skipped_events[:SKIPPED_SHOWN_MAX]
        for event in shown:
            when = f"{time_text(event.skip_time)} UTC"
            self._prose(f"position {event.position:,}, {event.type}, on {when}:")
            self._prose(event.reason, indent=PROSE_INDENT + 2)
        if count > len(shown):
            self._out.print(f"    … and {count - len(shown):,} more; see --json")

    def _comparison(self) -> None:
        self._out.print("  compared with the generation before, when it took over:")
        self._prose(self._projection.comparison)

    def _prose(self, text: str, *, indent: int = PROSE_INDENT, style: str = "") -> None:
        print_prose(self._out, text, indent=indent, style=style)


def reached_text(rebuild: ProjectionRebuild) -> str:
    """How far a rebuild is, how fast, and how long it will take."""
    position = f"position {rebuild.position:,} of {rebuild.target_position:,}"
    if rebuild.comparing:
        return f"{position}, is compared with what serves"
    parts = [position, f"{rate_text(rebuild.events_per_second)} events/s"]
    if rebuild.HasField("time_left"):
        seconds = rebuild.time_left.ToTimedelta().total_seconds()
        parts.append(f"{span_text(seconds)} left")
    return ", ".join(parts)


def percent_of(rebuild: ProjectionRebuild) -> int:
    """How much of a rebuild is done; 100 only when all of it is."""
    return int(100 * min(max(rebuild.progress, 0.0), 1.0))


def rate_text(events_per_second: float) -> str:
    """Events per second, to as many places as tell something."""
    decimals = 1 if events_per_second < SLOW_EVENTS_PER_SECOND else 0
    return f"{events_per_second:,.{decimals}f}"


def stopped_text(position: int) -> str:
    """That something has stopped, and where if it was an event that stopped it."""
    return f"stopped at position {position:,}:" if position else "stopped:"
