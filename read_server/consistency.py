"""Holds queries back until the read models have what they ask for."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from eventcore.checkpoints import Checkpoint
from eventcore.errors import ShuttingDown, StoreUnavailable
from eventcore.freshness import Requirement
from eventcore.gathering import Gathering
from eventcore.read_store import ReadSnapshots
from eventcore.wake import WakeReceiver

ANSWER_SECONDS = 0.05
"""Kept of the caller's time, so that the answer still arrives: "not yet" tells more than a deadline
that has passed."""

WAITING_QUERIES_MAX = 10_000
"""Queries that wait at once. Each look walks them all, which takes a millisecond for so many; who
comes beyond them is told at once how far the read model is."""

PROJECTIONS_PER_LOOK_MAX = 100
"""Checkpoints that are read together. There are a few."""


class Consistency:
    """Watches the checkpoints for the queries that wait for one.

    A query looks after it has registered, and every look after that resolves it. So a commit is
    either seen by the query's own look, or its wake-up, or at the latest the poll, causes another.
    """

    def __init__(
        self, *, snapshots: ReadSnapshots, wakes: WakeReceiver, poll_seconds: float
    ) -> None:
        self._snapshots = snapshots
        self._wakes = wakes
        self._poll_seconds = poll_seconds
        self._newest: dict[str, Checkpoint] = {}
        self._waiting: dict[str, dict[asyncio.Future[None], int]] = {}
        self._looks = Gathering(self._read, keys_max=PROJECTIONS_PER_LOOK_MAX)
        self._is_closed = False

    async def reach(
        self,
        requirement: Requirement,
        *,
        projection: str,
        time_remaining_seconds: float | None,
    ) -> None:
        """See `Freshness`. What is known to be reached costs no look.

        Raises:
            ShuttingDown: it was closed before the projection got there.
        """
        newest = self._newest.get(projection)
        if newest is not None and newest.position >= requirement.min_position:
            requirement.check_store(newest.store_id)
            return
        if sum(map(len, self._waiting.values())) >= WAITING_QUERIES_MAX:
            requirement.check(await self.look(projection))
            return
        await self._wait(
            requirement,
            projection,
            seconds=_wait_seconds(requirement, time_remaining_seconds),
        )

    def close(self) -> None:
        """Lets go all who wait, and lets nobody wait again: a drain must not wait for them.

        Who has what it asks for is still answered; everybody else gets `ShuttingDown`.
        """
        self._is_closed = True
        for waiting in self._waiting.values():
            for reached in waiting:
                if not reached.done():
                    reached.set_result(None)

    async def look(self, projection: str) -> Checkpoint:
        """Reads a checkpoint, and lets go the queries for which it is far enough.

        Raises:
            StoreUnavailable: the store does not answer, or has no such checkpoint yet.
        """
        checkpoint = await self._looks.find(projection)
        assert checkpoint is not None, "every projection has an answer"
        return checkpoint

    async def follow(self) -> NoReturn:
        """Looks at each wake-up and each poll for those who wait; endless."""
        while True:
            await self._wakes.wait(timeout_seconds=self._poll_seconds)
            for projection in [name for name, waits in self._waiting.items() if waits]:
                try:
                    await self.look(projection)
                except StoreUnavailable:
                    # Those who wait go on waiting: the next look may find the store again.
                    continue

    async def _wait(
        self, requirement: Requirement, projection: str, *, seconds: float
    ) -> None:
        reached = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(projection, {})
        waiting[reached] = requirement.min_position
        try:
            newest = await self.look(projection)
            requirement.check_store(newest.store_id)
            if not reached.done() and not self._is_closed:
                async with asyncio.timeout(seconds):
                    await reached
        except TimeoutError:
            requirement.check(self._newest[projection])
        finally:
            del waiting[reached]
        position = self._newest[projection].position
        if self._is_closed and position < requirement.min_position:
            raise ShuttingDown

    async def _read(self, projections: Sequence[str]) -> Mapping[str, Checkpoint]:
        async with self._snapshots.open() as snapshot:
            found = {name: await snapshot.checkpoint(name) for name in projections}
        for name, checkpoint in found.items():
            self._newest[name] = checkpoint
            for reached, min_position in self._waiting.get(name, {}).items():
                if min_position <= checkpoint.position and not reached.done():
                    reached.set_result(None)
        return found


def _wait_seconds(
    requirement: Requirement, time_remaining_seconds: float | None
) -> float:
    if time_remaining_seconds is None:
        return requirement.max_wait_seconds
    until_deadline = max(time_remaining_seconds - ANSWER_SECONDS, 0.0)
    return min(requirement.max_wait_seconds, until_deadline)
