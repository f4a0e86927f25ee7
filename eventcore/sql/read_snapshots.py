"""Moments of the read store over SQL, for queries on an event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from sqlalchemy import CursorResult, Row, Select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventcore.checkpoints import Checkpoint
from eventcore.errors import StoreUnavailable
from eventcore.sql.read_schema import as_checkpoint, select_checkpoint
from eventcore.sql.read_store import check_schema
from eventcore.sql.sqlite import translated

CLOSING_SECONDS_MAX = 2.0
"""How long `close` waits for moments that are still open."""


class SqlReadSnapshot:
    """One moment of the store."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def checkpoint(self, projection: str) -> Checkpoint:
        rows = await self.fetch(select_checkpoint(projection))
        if not rows:
            raise StoreUnavailable("the read models are not made yet: retry")
        return as_checkpoint(rows[0])

    async def fetch(self, query: Select[Any]) -> Sequence[Row[Any]]:
        result: CursorResult[Any] = await self._connection.execute(query)
        return result.all()


class SqlReadSnapshots:
    """Moments of a read store that another process owns."""

    def __init__(self, engine: AsyncEngine, *, schema_version: int) -> None:
        """Prepares to read; the store need not be made yet.

        Args:
            engine: Of a reader; its pool bounds the moments that are open at a time.
            schema_version: Of the tables that the queries know.
        """
        self._engine = engine
        self._schema_version = schema_version
        self._checked = False
        self._open = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SqlReadSnapshot]:
        """A moment of the store.

        Raises:
            StartFailed: its tables are of a newer release.
            StoreUnavailable: see the port.
        """
        if self._closed:
            raise StoreUnavailable
        with self._counted():
            try:
                with translated():
                    async with self._engine.connect() as connection, connection.begin():
                        if not self._checked:
                            await self._check_made(connection)
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

    async def _check_made(self, connection: AsyncConnection) -> None:
        """The owner makes the file first and its tables a moment later."""
        try:
            await connection.run_sync(check_schema, schema_version=self._schema_version)
        except OperationalError as error:
            raise StoreUnavailable("the read models are not made yet: retry") from error
