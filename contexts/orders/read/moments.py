"""Moments of a read model, as fresh as a query demands."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, Table

from eventcore.checkpoints import Checkpoint
from eventcore.freshness import Freshness, Requirement
from eventcore.messages import Instant
from eventcore.projection import Projection
from eventcore.read_store import ReadSnapshot, ReadSnapshots, ServedModel


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of how fresh an answer is."""

    checkpoint: Checkpoint
    """That of the moment in which it was read."""
    stale: bool = False
    """Whether it is older than was demanded, which is then allowed."""


class Moment:
    """A read model as of one moment."""

    def __init__(
        self, snapshot: ReadSnapshot, model: ServedModel, *, stale: bool
    ) -> None:
        self._snapshot = snapshot
        self._model = model
        self.known = Known(model.checkpoint, stale)

    def table(self, table: Table) -> Table:
        """What a query says for a table that the projection declares."""
        return self._model.table(table)

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """The rows that a query selects."""
        return await self._snapshot.fetch(query)


class Moments:
    """Opens moments of read models."""

    def __init__(
        self,
        *,
        snapshots: ReadSnapshots,
        freshness: Freshness,
        clock: Callable[[], Instant],
    ) -> None:
        self._snapshots = snapshots
        self._freshness = freshness
        self._clock = clock

    async def reach(
        self,
        requirement: Requirement,
        projection: Projection,
        time_remaining_seconds: float | None,
    ) -> None:
        """Waits until a read model is as fresh as a query demands; see `Freshness`."""
        await self._freshness.reach(
            requirement,
            projection=projection,
            time_remaining_seconds=time_remaining_seconds,
        )

    def check(self, requirement: Requirement, checkpoint: Checkpoint) -> Known:
        """What is known of an answer that was read together with a checkpoint.

        Raises:
            ProjectionLagging, StoreMismatch: it is not what the query demands.
        """
        return Known(checkpoint, requirement.check(checkpoint, now=self._clock()))

    @asynccontextmanager
    async def open(
        self, projection: Projection, requirement: Requirement | None = None
    ) -> AsyncIterator[Moment]:
        """A moment of a read model; with a requirement, one that meets it.

        Raises:
            ProjectionLagging, StoreMismatch: it is not what the query demands.
            StoreUnavailable: the read store does not answer.
        """
        async with self._snapshots.open() as snapshot:
            model = await snapshot.served(projection)
            known = self.check(requirement or Requirement(), model.checkpoint)
            yield Moment(snapshot, model, stale=known.stale)
