"""A rebuild, followed until it has ended."""

import time
from dataclasses import dataclass, replace
from enum import Enum, auto

from cli.fitting import print_prose
from cli.projections.details import (
    FALLING_BEHIND,
    WHEN_FALLING_BEHIND,
    Details,
    percent_of,
    reached_text,
)
from cli.projections.port import Projecting
from cli.projections.progress import Display
from cli.refused import Refused, may_pass
from orderes.v1.projection_admin_service_pb2 import (
    ListProjectionsRequest,
    Projection,
    ProjectionState,
)

POLL_SECONDS = 0.5
AWAY_SECONDS_MAX = 60.0
"""How long a projector may be away. A supervisor brings it back within seconds, and what
it has replayed is kept."""


class Outcome(Enum):
    """How a rebuild has ended."""

    SERVES = auto()
    STOPPED = auto()
    """By a fault. It is kept, to be resumed or given up."""
    GONE = auto()
    """Somebody has given it up, or has switched back already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a rebuild has ended, and how its projection is after it."""

    outcome: Outcome
    projection: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """What keeps a rebuild from its end."""

    text: str
    remedy: str = ""
    """What a line to type does about it; empty where there is none."""
    words: str = ""
    """The line."""


def outcome_of(projection: Projection, generation: int) -> Outcome | None:
    """How the rebuild that makes this generation has ended; nothing while it has not."""
    if projection.generation >= generation:
        return Outcome.SERVES
    rebuild = projection.rebuild
    if rebuild.generation != generation:
        return Outcome.GONE
    return Outcome.STOPPED if rebuild.error else None


class Following:
    """Follows a rebuild, and shows how far it is.

    A projector that goes away meanwhile is waited for: it goes on where it was.
    """

    def __init__(
        self, projecting: Projecting, begun: Projection, display: Display
    ) -> None:
        """Takes it up.

        Args:
            projecting: How the projector is asked.
            begun: The projection, with its rebuild.
            display: Where it is shown.
        """
        # It is asked again here, where the wait can be seen.
        server = replace(projecting.server, retrying=False)
        self._asking = replace(projecting, server=server)
        self._begun = begun
        self._display = display
        self._told: set[str] = set()

    def end(self) -> End:
        """Returns once the rebuild has ended.

        Raises:
            Refused: the projector said no, or was away for too long.
        """
        # Of a short log there may be no rebuild any more: then anything that serves is it.
        generation = self._begun.rebuild.generation
        seen = self._begun
        while (outcome := outcome_of(seen, generation)) is None:
            self._show(seen)
            time.sleep(POLL_SECONDS)
            seen = self._look(seen)
        if outcome is Outcome.SERVES:
            self._display.show(100, ["it serves"])
        return End(outcome=outcome, projection=seen)

    def _show(self, seen: Projection) -> None:
        hindrances = hindrances_of(seen)
        for hindrance in hindrances:
            if hindrance.remedy and hindrance.words not in self._told:
                self._told.add(hindrance.words)
                self._tell(seen, hindrance)
        notes = [reached_text(seen.rebuild), *(each.text for each in hindrances)]
        self._display.show(percent_of(seen.rebuild), notes)

    def _tell(self, seen: Projection, hindrance: Hindrance) -> None:
        """Says what can be done about a hindrance; it is told once."""
        out = self._display.out
        print_prose(out, hindrance.text, indent=2, style="yellow")
        details = Details(out, seen, flag=self._asking.flag)
        details.step(hindrance.remedy, hindrance.words)

    def _look(self, before: Projection) -> Projection:
        """How the projection is now; while nobody answers, it is asked again."""
        asked = time.monotonic()
        while True:
            try:
                answer = self._asking.ask(
                    lambda admin: admin.ListProjections, ListProjectionsRequest()
                )
            except Refused as refused:
                is_late = time.monotonic() - asked > AWAY_SECONDS_MAX
                if is_late or not may_pass(refused.failure):
                    raise
                away = f"the projector does not answer ({refused.failure.code.name})"
                self._display.show(percent_of(before.rebuild), [away])
                time.sleep(POLL_SECONDS)
                continue
            named = (each for each in answer.projections if each.name == before.name)
            return next(named, Projection(name=before.name))


def hindrances_of(projection: Projection) -> list[Hindrance]:
    """What keeps its rebuild from its end now."""
    hindrances = []
    if projection.state == ProjectionState.PROJECTION_STATE_STALLED:
        hindrances.append(Hindrance(text="no projector reports for it"))
    if projection.pause_reason:
        paused = f"paused: {projection.pause_reason}"
        hindrances.append(Hindrance(text=paused, remedy="Go on", words="resume"))
    if projection.rebuild.falling_behind:
        hindrances.append(
            Hindrance(text=FALLING_BEHIND, remedy=WHEN_FALLING_BEHIND, words="cancel")
        )
    return hindrances
