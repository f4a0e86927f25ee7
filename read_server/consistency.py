"""Holds queries back until the read models have what they ask for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TypeAlias

from eventcore.checkpoints import Checkpoint
from eventcore.errors import ProjectionLagging, ShuttingDown, StoreUnavailable
from eventcore.freshness import Requirement
from eventcore.gathering import Gathering
from eventcore.messages import Instant
from eventcore.projection import Projection
from eventcore.read_store import ReadSnapshots
from eventcore.wake import WakeReceiver

ANSWER_SECONDS = 0.05
"""Kept of the caller's time, so that the answer still arrives: "not yet" tells more than a deadline
that has passed."""

WAITING_QUERIES_MAX = 10_000
"""Queries that wait at once. Each look walks them all, which takes some milliseconds for so many;
who comes beyond them is told at once how far the read model is."""

PROJECTIONS_PER_LOOK_MAX = 100
"""Checkpoints that are read together. There are a few."""

_Seen: TypeAlias = Checkpoint | ProjectionLagging
"""How far a read model is, or that there is nothing to answer from yet."""

_Look: TypeAlias = _Seen | StoreUnavailable
"""What a look finds: also that the store does not know the read model."""


class Consistency:
    """Watches the checkpoints for the queries that wait for one.

    A query looks after it has registered, and every look after that resolves it. So a commit is
    either seen by the query's own look, or its wake-up, or at the latest the poll, causes another.
    """

    def __init__(
        self,
        *,
        snapshots: ReadSnapshots,
        wakes: WakeReceiver,
        clock: Callable[[], Instant],
        poll_seconds: float,
    ) -> None:
        self._snapshots = snapshots
        self._wakes = wakes
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._projections: dict[str, Projection] = {}
        self._newest: dict[str, _Seen] = {}
        self._waiting: dict[str, dict[asyncio.Future[None], Requirement]] = {}
        self._looks = Gathering(self._read, keys_max=PROJECTIONS_PER_LOOK_MAX)
        self._is_closed = False

    async def reach(
        self,
        requirement: Requirement,
        *,
        projection: Projection,
        time_remaining_seconds: float | None,
    ) -> None:
        """See `Freshness`. What is known to be reached costs no look.

        Raises:
            ShuttingDown: it was closed before the projection got there.
        """
        newest = self._newest.get(projection.name)
        if self._is_met(requirement, newest):
            return
        if sum(map(len, self._waiting.values())) >= WAITING_QUERIES_MAX:
            self._check(requirement, await self._look(projection))
            return
        await self._wait(
            requirement,
            projection,
            seconds=_wait_seconds(requirement, time_remaining_seconds),
        )

    async def beyond(
        self, position: int, *, projection: Projection, seconds: float
    ) -> Checkpoint:
        """See `Freshness`."""
        patient = Requirement(
            min_position=position + 1, max_wait_seconds=seconds, allow_stale=True
        )
        await self.reach(patient, projection=projection, time_remaining_seconds=None)
        return _checkpoint(self._newest[projection.name])

    def close(self) -> None:
        """Lets go all who wait, and lets nobody wait again: a drain must not wait for them.

        Who has what it asks for is still answered; everybody else gets `ShuttingDown`.
        """
        self._is_closed = True
        for waiting in self._waiting.values():
            for reached in waiting:
                if not reached.done():
                    reached.set_result(None)

    async def look(self, projection: Projection) -> Checkpoint:
        """Reads a checkpoint, and lets go the queries for which it is far enough.

        Raises:
            StoreUnavailable: the store does not answer, or has never heard of the projection.
            ProjectionLagging: there is nothing to answer from yet.
        """
        return _checkpoint(await self._look(projection))

    async def follow(self) -> NoReturn:
        """Looks at each wake-up and each poll for those who wait; endless."""
        while True:
            await self._wakes.wait(timeout_seconds=self._poll_seconds)
            awaited = [name for name, waits in self._waiting.items() if waits]
            # Those who wait go on waiting: the next look may find the store again.
            with suppress(StoreUnavailable):
                await asyncio.gather(*map(self._looks.find, awaited))

    async def _look(self, projection: Projection) -> _Seen:
        self._projections[projection.name] = projection
        found = await self._looks.find(projection.name)
        assert found is not None, "every projection has an answer"
        if isinstance(found, StoreUnavailable):
            raise found.with_traceback(None)
        return found

    async def _wait(
        self, requirement: Requirement, projection: Projection, *, seconds: float
    ) -> None:
        name = projection.name
        reached = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, {})
        waiting[reached] = requirement
        try:
            newest = await self._look(projection)
            if isinstance(newest, Checkpoint):
                requirement.check_store(newest.store_id)
            if not reached.done() and not self._is_closed:
                async with asyncio.timeout(seconds):
                    await reached
        except TimeoutError:
            self._check(requirement, self._newest[name])
        finally:
            del waiting[reached]
        if self._is_closed and not self._is_met(requirement, self._newest[name]):
            raise ShuttingDown

    def _is_met(self, requirement: Requirement, newest: _Seen | None) -> bool:
        """Whether a query can be answered; raises `StoreMismatch` if it never can."""
        if not isinstance(newest, Checkpoint):
            return False
        if requirement.lagging(newest, now=self._clock()) is not None:
            return False
        requirement.check_store(newest.store_id)
        return True

    def _check(self, requirement: Requirement, newest: _Seen) -> None:
        requirement.check(_checkpoint(newest), now=self._clock())

    async def _read(self, names: Sequence[str]) -> Mapping[str, _Look]:
        found: dict[str, _Look] = {}
        async with self._snapshots.open() as snapshot:
            for name in names:
                try:
                    served = await snapshot.served(self._projections[name])
                except (ProjectionLagging, StoreUnavailable) as error:
                    # It holds up its own queries alone, not those of who looks together with it.
                    found[name] = error
                else:
                    found[name] = served.checkpoint
        for name, look in found.items():
            if not isinstance(look, StoreUnavailable):
                self._newest[name] = look
            if isinstance(look, Checkpoint):
                self._let_go(name, look)
        return found

    def _let_go(self, name: str, checkpoint: Checkpoint) -> None:
        """Ends the waits for which a read model is far enough."""
        now = self._clock()
        for reached, requirement in self._waiting.get(name, {}).items():
            if not reached.done() and not requirement.lagging(checkpoint, now=now):
                reached.set_result(None)


def _checkpoint(look: _Seen) -> Checkpoint:
    if isinstance(look, ProjectionLagging):
        raise look.with_traceback(None)  # It is raised again and again.
    return look


def _wait_seconds(
    requirement: Requirement, time_remaining_seconds: float | None
) -> float:
    if time_remaining_seconds is None:
        return requirement.max_wait_seconds
    until_deadline = max(time_remaining_seconds - ANSWER_SECONDS, 0.0)
    return min(requirement.max_wait_seconds, until_deadline)
