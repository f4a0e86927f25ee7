"""Generations: the sets of tables that a read model has had, has, and is to have.

A rebuild makes a new generation beside the one that serves, and takes its place when it has caught
up. The one that was replaced goes on being applied while it is kept, so that going back to it is
not going back in time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from eventcore.checkpoints import Checkpoint
from eventcore.errors import GenerationBehind
from eventcore.messages import Instant
from eventcore.operators import Pause


class Role(Enum):
    """What a generation is there for."""

    BUILDING = "building"
    """On its way to take over: nobody reads it yet."""
    SERVING = "serving"
    """It answers queries. Of each projection there is at most one."""
    REPLACED = "replaced"
    """It has served, and is kept for a while."""
    DROPPING = "dropping"
    """Nobody reads or writes it any more; its tables are emptied and dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a generation has stopped at. It is kept until an operator has it go on."""

    position: int
    """Of the event that cannot be applied."""
    event_id: str = ""
    """Empty where the log has no such event: it is damaged there, and there is nothing to skip."""
    event_type: str = ""
    message: str
    """Why, and what to do, for operators."""
    time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """An event that an operator has had left out of one generation."""

    position: int
    event_id: str
    event_type: str
    reason: str
    """As the operator has said it."""
    time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a generation gets on, as its owner has last reported it."""

    events_per_second: float = 0.0
    """Applied lately."""
    seconds_left: float | None = None
    """Of a rebuild, until it takes over; None while nobody can tell."""
    falling_behind: bool = False
    """Of a rebuild: events come in faster than it replays them."""
    comparing: bool = False
    """Of a rebuild: it is compared with what serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A set of tables of a read model."""

    projection: str
    number: int
    """From 1, by projection; never given twice."""
    version: int
    """Of the projection's code that made it, and can change and read it."""
    role: Role
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    failure: Failure | None = None
    progress: Progress = field(default_factory=Progress)
    made_time: Instant
    made_reason: str
    """Why it was made, as the operator or the projector has said it."""
    replaced_time: Instant = 0
    """When another one took its place; 0 unless it is REPLACED."""
    comparison: str = ""
    """What its comparison with the one before has shown; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who applies events to a projection, and whether an operator has it stand still."""

    projection: str
    owner: str
    """Empty if nobody has it."""
    epoch: int
    """Counts the owners."""
    lease_expire_time: Instant
    """From then on another projector may take it."""
    heartbeat_time: Instant
    """When the owner last showed that it lives."""
    pause: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change a projection. It ends when another projector gets the next epoch,
    whatever who holds this one still believes.
    """

    projection: str
    owner: str
    epoch: int


def served(generations: Iterable[Generation], *, version: int) -> Generation | None:
    """The generation that answers the queries of code of a version; None if there is none yet.

    It is the one that serves, if it is of that version. Where a newer or an older release has put
    another in its place, it is the one of that version which was replaced last: it tells truly how
    far it is.
    """
    readable = [
        generation
        for generation in generations
        if generation.version == version
        and generation.role in {Role.SERVING, Role.REPLACED}
    ]
    return max(
        readable,
        key=lambda each: (each.role is Role.SERVING, each.replaced_time, each.number),
        default=None,
    )


def building(generations: Iterable[Generation], *, version: int) -> Generation | None:
    """The rebuild that is under way, for code of a version."""
    return next(
        (
            generation
            for generation in generations
            if generation.version == version and generation.role is Role.BUILDING
        ),
        None,
    )


def previous(generations: Iterable[Generation], *, version: int) -> Generation | None:
    """The generation that a rollback goes back to, for code of a version."""
    replaced = [
        generation
        for generation in generations
        if generation.version == version and generation.role is Role.REPLACED
    ]
    return max(
        replaced, key=lambda each: (each.replaced_time, each.number), default=None
    )


def switched(
    generations: Iterable[Generation], to: int, *, now: Instant, comparison: str = ""
) -> list[Generation]:
    """The generations that change when another one takes over, as they are after it.

    The one that served is REPLACED. Of each version only the one that was replaced last is kept.

    Raises:
        GenerationBehind: the new one is not as far as what queries were answered from.
        ValueError: it can take nothing over: it is not there, serves already, or was given up.
    """
    before = {generation.number: generation for generation in generations}
    target = before.get(to)
    if target is None or target.role not in {Role.BUILDING, Role.REPLACED}:
        raise ValueError(f"generation {to} can take nothing over")
    _check_not_behind(target, before.values())
    after = dict(before)
    for generation in before.values():
        if generation.role is Role.SERVING:
            after[generation.number] = replace(
                generation, role=Role.REPLACED, replaced_time=now
            )
    after[to] = replace(
        target,
        role=Role.SERVING,
        replaced_time=0,
        comparison=comparison or target.comparison,
    )
    for version in {generation.version for generation in after.values()}:
        kept = previous(after.values(), version=version)
        for generation in list(after.values()):
            if (
                generation.version == version
                and generation.role is Role.REPLACED
                and generation is not kept
            ):
                after[generation.number] = replace(generation, role=Role.DROPPING)
    return [each for number, each in after.items() if each is not before[number]]


def _check_not_behind(target: Generation, generations: Iterable[Generation]) -> None:
    everything = list(generations)
    serving = [each for each in everything if each.role is Role.SERVING]
    readable = served(everything, version=target.version)
    for other in (*serving, *([readable] if readable else [])):
        if other.checkpoint.position > target.checkpoint.position:
            raise GenerationBehind(
                target.projection,
                target.number,
                position=target.checkpoint.position,
                served_position=other.checkpoint.position,
            )
