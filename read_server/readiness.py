"""Whether there is something to answer from: the read models are made by another process."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import structlog

from eventcore.errors import EventCoreError, ProjectionLagging, StoreUnavailable
from eventcore.projection import Projection
from read_server.consistency import Consistency

LOOK_SECONDS = 1.0
"""How often a read server that is ready looks whether it still is."""
LOOK_SECONDS_UNTIL_READY = 0.2

log = structlog.get_logger()


class ReadStoreReplaced(EventCoreError):
    """The file of the read store is another one than was opened."""

    def __init__(self) -> None:
        super().__init__(
            "read.db was replaced: this process ends, so that it reads the new one when "
            "it is started again"
        )


class Readiness:
    """Tells when the read models can be read, and when they no longer can."""

    def __init__(
        self,
        *,
        path: Path,
        consistency: Consistency,
        projections: Sequence[Projection],
        on_ready: Callable[[bool], None],
    ) -> None:
        """Prepares to watch.

        Args:
            path: The file of the read store.
            consistency: Looks at it.
            projections: The read models that the store has to know. One that is being made for
                this release holds up only its own queries.
            on_ready: Called whenever it changes.
        """
        self._path = path
        self._consistency = consistency
        self._projections = projections
        self._on_ready = on_ready
        self._is_ready = False
        self._lagging: set[str] = set()
        self._file: tuple[int, int] | None = None

    async def follow(self) -> NoReturn:
        """Watches; endless.

        Raises:
            ReadStoreReplaced: the connections lead to a file that is no longer there.
            StartFailed: the read models are of a newer release.
        """
        is_ready = await self._look()
        if not is_ready:
            log.info("waiting_for_the_read_store", path=str(self._path))
        while True:
            if is_ready != self._is_ready:
                self._is_ready = is_ready
                self._on_ready(is_ready)
                log.info("ready" if is_ready else "not_ready")
            await asyncio.sleep(LOOK_SECONDS if is_ready else LOOK_SECONDS_UNTIL_READY)
            is_ready = await self._look()

    async def _look(self) -> bool:
        try:
            found = await asyncio.to_thread(self._path.stat)
        except FileNotFoundError:
            return False
        file = (found.st_dev, found.st_ino)
        if self._file is None:
            self._file = file
        elif self._file != file:
            raise ReadStoreReplaced
        try:
            for projection in self._projections:
                await self._look_at(projection)
        except StoreUnavailable:
            return False
        return True

    async def _look_at(self, projection: Projection) -> None:
        name = projection.name
        try:
            await self._consistency.look(projection)
        except ProjectionLagging as lagging:
            if name not in self._lagging:
                self._lagging.add(name)
                log.info("not_answered_yet", projection=name, reason=lagging.message)
        else:
            if name in self._lagging:
                self._lagging.discard(name)
                log.info("answered_now", projection=name)
