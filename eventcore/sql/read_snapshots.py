"""Moments of the read store over SQL, for queries on an event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from sqlalchemy import CursorResult, Row, Select, Table
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventcore.errors import ProjectionRebuilding, StoreUnavailable
from eventcore.generations import Generation, building, served
from eventcore.projection import Projection
from eventcore.sql.generation_tables import table_of
from eventcore.sql.read_layout import check_layout
from eventcore.sql.read_schema import as_generation, select_generations
from eventcore.sql.sqlite import translated

CLOSING_SECONDS_MAX = 2.0
"""How long `close` waits for moments that are still open."""


class SqlServedModel:
    """The generation that answers, as of one moment."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation.number
        self.checkpoint = generation.checkpoint

    def table(self, table: Table) -> Table:
        return table_of(table, self.generation)


class SqlReadSnapshot:
    """One moment of the store."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def served(self, projection: Projection) -> SqlServedModel:
        rows = await self.fetch(select_generations(projection.name))
        generations = [as_generation(row) for row in rows]
        found = served(generations, version=projection.version)
        if found is not None:
            return SqlServedModel(found)
        if not generations:
            raise StoreUnavailable("the read models are not made yet: retry")
        # Where there are only those of another release, its projector has still to come.
        made = building(generations, version=projection.version)
        raise ProjectionRebuilding(
            projection.name,
            position=0 if made is None else made.checkpoint.position,
            head_position=max(each.checkpoint.head_position for each in generations),
        )

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        result: CursorResult[Any] = await self._connection.execute(query)
        return result.all()


class SqlReadSnapshots:
    """Moments of a read store that another process owns."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Prepares to read; the store need not be made yet.

        Args:
            engine: Of a reader; its pool bounds the moments that are open at a time.
        """
        self._engine = engine
        self._checked = False
        self._open = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SqlReadSnapshot]:
        """A moment of the store.

        Raises:
            StartFailed: it was made by a newer release.
            StoreUnavailable: see the port.
        """
        if self._closed:
            raise StoreUnavailable
        with self._counted():
            try:
                with translated():
                    async with self._engine.connect() as connection, connection.begin():
                        if not self._checked:
                            await connection.run_sync(check_layout)
                            self._checked = True
                        yield SqlReadSnapshot(connection)
            except PoolTimeoutError as error:
                raise StoreUnavailable(
                    "too many queries wait for the read store: retry the same call"
                ) from error

    async def close(self) -> None:
        """Gives up the connections, after the moments that are still open. Idempotent."""
        self._closed = True
        # A connection in use has a thread that reports to the loop, which must be there to hear it.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS_MAX):
                await self._idle.wait()
        await self._engine.dispose()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._idle.set()
