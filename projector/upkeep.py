"""What generations there are: those that are missing are begun, those that are over are dropped."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from eventcore.checkpoints import Checkpoint
from eventcore.generations import (
    Generation,
    Lease,
    Role,
    building,
    previous,
    served,
)
from eventcore.messages import Instant, LogHead
from eventcore.projection_register import ProjectionRegister
from eventcore.read_store import ReadStore, ReadUnit
from projector.owned import Owned

DROPPED_ROWS_PER_UNIT = 500
"""Rows of dropped tables that one transaction removes: it takes some milliseconds."""

LOOK_SECONDS = 1.0
"""How often to look whether there is something to drop."""

_log = structlog.get_logger()


class Upkeep:
    """Begins and ends generations."""

    def __init__(
        self,
        *,
        clock: Callable[[], Instant],
        monotonic: Callable[[], float],
        keep_seconds: float,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._keep = round(keep_seconds * 1_000_000)
        self._look_at = monotonic()

    def begin(self, unit: ReadUnit, owned: Owned, lease: Lease, head: LogHead) -> None:
        """Begins to make what this release has nothing of, in the unit of work.

        Where what serves was made by an older release, or nothing serves, a new generation is made.
        Where it was made by a newer one, that is left to operators: two releases must not take
        turns.
        """
        serving = _serving(owned)
        version = owned.projection.version
        for generation in owned.generations:
            if generation.role is Role.BUILDING and generation.version < version:
                unit.register.drop(owned.name, generation.number)
        if building(owned.generations, version=version) is not None:
            return
        if serving is not None and serving.version == version:
            return
        if serving is not None and serving.version > version:
            self._say_newer(owned, serving)
            return
        kept = previous(owned.generations, version=version)
        if kept is not None:
            # It has served this release before, and an older one came in between.
            unit.register.rebuild_with(owned.name, kept.number)
            return
        self._make(unit, owned, lease, head, serving)

    def retire(self, register: ProjectionRegister, owned: Owned) -> None:
        """Drops generations that were replaced long enough ago, but for the one that answers the
        queries of this release: a newer one may have put another in its place.
        """
        now = self._clock()
        answering = served(owned.generations, version=owned.projection.version)
        for generation in owned.generations:
            if (
                generation.role is Role.REPLACED
                and generation is not answering
                and generation.replaced_time + self._keep <= now
            ):
                register.drop(owned.name, generation.number)
                _log.info(
                    "generation_dropped",
                    projection=owned.name,
                    generation=generation.number,
                    version=generation.version,
                )

    def empty_dropped(self, read_store: ReadStore) -> float:
        """Removes a few rows of what was dropped, if there is something; seconds until the next
        time. It takes half of the time at most.
        """
        began = self._monotonic()
        if began < self._look_at:
            return self._look_at - began
        with read_store.begin() as unit:
            removed = unit.register.empty_dropped(rows_max=DROPPED_ROWS_PER_UNIT)
            if removed:
                unit.commit()
        ended = self._monotonic()
        self._look_at = ended + (ended - began if removed else LOOK_SECONDS)
        return self._look_at - ended

    def _make(
        self,
        unit: ReadUnit,
        owned: Owned,
        lease: Lease,
        head: LogHead,
        serving: Generation | None,
    ) -> None:
        now = self._clock()
        # Of an empty log it holds everything at once.
        is_complete = serving is None and head.position == 0
        reason = (
            "made for the first time"
            if serving is None
            else f"version {serving.version} was made by an older release"
        )
        generation = unit.register.add_generation(
            owned.projection,
            role=Role.SERVING if is_complete else Role.BUILDING,
            now=now,
            reason=reason,
        )
        checkpoint = Checkpoint(store_id=head.store_id, head_position=head.position)
        if is_complete:
            checkpoint = replace(checkpoint, complete_time=now)
        unit.generation(lease, generation.number).advance(
            checkpoint, expected_position=0
        )
        _log.info(
            "read_model_is_made" if is_complete else "rebuild_begins",
            projection=owned.name,
            generation=generation.number,
            version=generation.version,
            reason=reason,
            head_position=head.position,
        )

    def _say_newer(self, owned: Owned, serving: Generation) -> None:
        version = owned.projection.version
        kept = previous(owned.generations, version=version)
        if kept is None:
            say, go_back = _log.error, "rebuild it with `orderes projections rebuild`"
        else:
            # It is kept up to date, and answers the queries of this release.
            say, go_back = (
                _log.warning,
                "make it so with `orderes projections rollback`",
            )
        say(
            "projection_is_of_a_newer_release",
            projection=owned.name,
            version=serving.version,
            version_of_this_release=version,
            generation_of_this_release=None if kept is None else kept.number,
            remedy=f"run the release that made it; to stay with this one, {go_back}",
        )


def _serving(owned: Owned) -> Generation | None:
    return next((each for each in owned.generations if each.role is Role.SERVING), None)
