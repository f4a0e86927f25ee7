"""What operators see of the projections, and how their changes are made."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from eventcore.errors import (
    GenerationBehind,
    ProjectionNotFound,
    StoreUnavailable,
    WrongProjectionState,
)
from eventcore.generations import (
    Generation,
    Ownership,
    Role,
    Skip,
    building,
    previous,
    served,
)
from eventcore.messages import Instant
from eventcore.operators import Operator, Pause
from eventcore.projection import Projection
from eventcore.projection_administration import ProjectionStatus
from eventcore.projection_register import ProjectionRegister, RegisterReader
from eventcore.read_store import ReadStore, ReadStoreReader
from eventcore.threads import OwnThread

_log = structlog.get_logger()
T = TypeVar("T")


class StoredAdministration:
    """Looks at the register, and changes it. The runner takes over what was changed."""

    def __init__(
        self,
        *,
        projections: Sequence[Projection],
        read_store: ReadStore,
        thread: OwnThread,
        reader: ReadStoreReader,
        reader_thread: OwnThread,
        clock: Callable[[], Instant],
        keep_seconds: float,
        changed: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        """Prepares to administer.

        Args:
            projections: All that this release has.
            read_store: Where changes are made.
            thread: That of the read store, and of the runner.
            reader: The same store, for looking: that must not wait for a batch.
            reader_thread: Its own.
            clock: The time.
            keep_seconds: How long a generation that was replaced is kept.
            changed: Called after each change, on the thread of the read store.
            wake: Called after each change, on the event loop.
        """
        self._projections = {projection.name: projection for projection in projections}
        self._read_store = read_store
        self._thread = thread
        self._reader = reader
        self._reader_thread = reader_thread
        self._clock = clock
        self._keep = round(keep_seconds * 1_000_000)
        self._changed = changed
        self._wake = wake

    async def projections(self) -> list[ProjectionStatus]:
        def look() -> list[ProjectionStatus]:
            with self._reader.snapshot() as snapshot:
                return [
                    self._status(self._projections[name], snapshot.register)
                    for name in sorted(self._projections)
                ]

        return await self._reader_thread.run(look)

    async def pause(self, name: str, reason: str, *, by: Operator) -> ProjectionStatus:
        def change(register: ProjectionRegister, projection: Projection) -> None:
            before = _ownership(register, projection).pause
            time = self._clock() if before is None else before.time
            register.set_pause(name, Pause(reason=reason, time=time))

        return await self._make(change, name, "projection_paused", reason, by)

    async def resume(
        self, name: str, reason: str, *, skip_position: int, by: Operator
    ) -> ProjectionStatus:
        def change(register: ProjectionRegister, projection: Projection) -> None:
            failed = [
                generation
                for generation in register.generations(name)
                if generation.version == projection.version
                and generation.failure is not None
                and generation.role is not Role.DROPPING
            ]
            if skip_position:
                self._skip(register, failed, skip_position, reason)
            for generation in failed:
                register.go_on(name, generation.number)
            register.set_pause(name, None)

        return await self._make(
            change,
            name,
            "projection_resumed",
            reason,
            by,
            **({"skipped_position": skip_position} if skip_position else {}),
        )

    async def rebuild(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        def change(register: ProjectionRegister, projection: Projection) -> None:
            made = building(register.generations(name), version=projection.version)
            if made is not None:
                raise WrongProjectionState(
                    f"a rebuild of {name} is under way, as generation {made.number}: wait for its "
                    "end, or give it up first"
                )
            register.add_generation(
                projection, role=Role.BUILDING, now=self._clock(), reason=reason
            )

        return await self._make(change, name, "rebuild_asked_for", reason, by)

    async def cancel_rebuild(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        def change(register: ProjectionRegister, projection: Projection) -> None:
            generations = register.generations(name)
            made = building(generations, version=projection.version)
            if made is None:
                raise WrongProjectionState(f"no rebuild of {name} is under way")
            if served(generations, version=projection.version) is None:
                raise WrongProjectionState(
                    f"{name} is being made for this release, and nothing else serves: it cannot "
                    "be given up"
                )
            register.drop(name, made.number)

        return await self._make(change, name, "rebuild_cancelled", reason, by)

    async def roll_back(
        self, name: str, reason: str, *, by: Operator
    ) -> ProjectionStatus:
        def change(register: ProjectionRegister, projection: Projection) -> None:
            target = _rollback_target(register.generations(name), projection)
            try:
                register.switch(name, target.number, now=self._clock())
            except GenerationBehind as behind:
                events = behind.served_position - behind.position
                raise WrongProjectionState(
                    f"generation {target.number} of {name} is {events} events behind what serves: "
                    "it would go back in time. Try again when it has caught up"
                ) from behind

        return await self._make(change, name, "projection_rolled_back", reason, by)

    async def _make(
        self,
        change: Callable[[ProjectionRegister, Projection], None],
        name: str,
        event: str,
        reason: str,
        by: Operator,
        **facts: int,
    ) -> ProjectionStatus:
        """Makes a change to its end, whatever becomes of the caller."""
        projection = self._projections.get(name)
        if projection is None:
            raise ProjectionNotFound(sorted(self._projections))
        known = projection

        def run() -> ProjectionStatus:
            with self._read_store.begin(durable=True) as unit:
                _ownership(unit.register, known)
                change(unit.register, known)
                status = self._status(known, unit.register)
                unit.commit()
            self._changed()
            return status

        status = await asyncio.shield(asyncio.ensure_future(self._thread.run(run)))
        _log.warning(
            event,
            projection=name,
            reason=reason,
            operator=by.address,
            correlation_id=by.correlation_id,
            **facts,
        )
        self._wake()
        return status

    def _skip(
        self,
        register: ProjectionRegister,
        failed: Sequence[Generation],
        position: int,
        reason: str,
    ) -> None:
        there = [
            (generation, generation.failure)
            for generation in failed
            if generation.failure is not None
            and generation.failure.position == position
        ]
        if not there:
            where = ", ".join(
                str(generation.failure.position)
                for generation in failed
                if generation.failure is not None
            )
            raise WrongProjectionState(
                f"it has not failed at position {position}: only the event that it stands at can "
                f"be skipped, {f'at {where}' if where else 'and it stands at none'}"
            )
        for generation, failure in there:
            if not failure.event_id:
                raise WrongProjectionState(
                    f"there is no event at position {position} to skip: the log is damaged there"
                )
            skip = Skip(
                position=position,
                event_id=failure.event_id,
                event_type=failure.event_type,
                reason=reason,
                time=self._clock(),
            )
            register.skip(generation.projection, generation.number, skip)

    def _status(
        self, projection: Projection, register: RegisterReader
    ) -> ProjectionStatus:
        name, version = projection.name, projection.version
        generations = register.generations(name)
        serving = served(generations, version=version)
        kept = previous(
            [each for each in generations if each is not serving], version=version
        )
        return ProjectionStatus(
            name=name,
            ownership=_ownership(register, projection),
            served=serving,
            made=building(generations, version=version),
            previous=kept,
            previous_drop_time=0 if kept is None else kept.replaced_time + self._keep,
            skips=[] if serving is None else register.skips(name, serving.number),
            now=self._clock(),
        )


def _ownership(register: RegisterReader, projection: Projection) -> Ownership:
    found = register.ownership(projection.name)
    if found is None:
        raise StoreUnavailable(
            "the read store is not made yet: the projector waits for the write store"
        )
    return found


def _rollback_target(
    generations: Sequence[Generation], projection: Projection
) -> Generation:
    """What a rollback goes back to.

    Raises:
        WrongProjectionState: there is nothing, or not now.
    """
    name = projection.name
    target = previous(generations, version=projection.version)
    if target is None:
        raise WrongProjectionState(
            f"{name} has no generation before this one: it was not rebuilt, or that one was "
            "dropped since"
        )
    if building(generations, version=projection.version) is not None:
        raise WrongProjectionState(
            f"a rebuild of {name} is under way: give it up first"
        )
    if target.failure is not None:
        raise WrongProjectionState(
            f"generation {target.number} of {name} has stopped at position "
            f"{target.failure.position}: resume it first"
        )
    return target
