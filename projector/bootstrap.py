"""The composition root of the projector: what it is made of, how it starts and how it drains."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress

import structlog
from prometheus_client import CollectorRegistry

from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.read.tables import READ_SCHEMA_VERSION
from eventcore.messages import Instant
from eventcore.process.clock import now
from eventcore.process.data_dir import (
    PROJECTOR_WAKE,
    READ_DB,
    READER_WAKES,
    WRITE_DB,
)
from eventcore.process.lifecycle import Stop
from eventcore.process.metrics_server import MetricsServer
from eventcore.projection import Projection
from eventcore.read_store import ReadStore
from eventcore.rpc.server import RpcServer
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import (
    OwnedFile,
    opening,
    owner_engine,
    reader_engine,
)
from eventcore.sql.write_store import SqlWriteStoreReader
from eventcore.telemetry import ProjectionMetrics, RpcMetrics
from eventcore.threads import OwnThread
from eventcore.wake import WakeReceiver, WakeSender
from eventcore.write_store import WriteStoreReader
from projector.follow import Follow
from projector.runner import ProjectionRunner
from projector.settings import ProjectorSettings

PROJECTIONS: Sequence[Projection] = (*ORDER_PROJECTIONS,)
"""All read models. A bounded context adds its own in this line."""

log = structlog.get_logger()


def health_name(projection: str) -> str:
    """The name under which the health service knows a projection."""
    return f"projection.{projection}"


class Projector:
    """The projector over any stores: runner, health and port."""

    def __init__(
        self,
        *,
        settings: ProjectorSettings,
        projections: Sequence[Projection],
        write_store: WriteStoreReader,
        read_store: ReadStore,
        thread: OwnThread,
        wakes: WakeReceiver,
        clock: Callable[[], Instant],
        moved: Callable[[], None],
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._server = RpcServer(
            address=settings.projector_address,
            services=[],
            metrics=RpcMetrics(registry),
        )
        for projection in projections:
            self._tell(projection.name, following=False)
        runner = ProjectionRunner(
            projections=projections,
            write_store=write_store,
            read_store=read_store,
            metrics=ProjectionMetrics(registry),
            clock=clock,
            moved=moved,
            batch_events_max=settings.projection_batch_events_max,
        )
        self._follow = Follow(
            runner=runner,
            thread=thread,
            wakes=wakes,
            poll_seconds=settings.projection_poll_seconds,
            on_following=lambda name, following: self._tell(name, following=following),
        )
        self._following: asyncio.Task[None] | None = None

    async def start(self, stop: Stop) -> str:
        """Opens the port, begins to follow the log, and returns the address.

        Args:
            stop: Is set with the error when the projections end before they are told to.

        Raises:
            StartFailed: the address is in use.
        """
        address = await self._server.start()
        self._following = asyncio.create_task(self._follow.run())
        self._following.add_done_callback(
            lambda task: stop.set(None if task.cancelled() else task.exception())
        )
        return address

    async def stop(self) -> None:
        """Ends after the batch under way, and closes the port."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                # What it failed with has reached `stop`, which ends the process with it.
                await self._following
        await self._server.stop(grace_seconds=self._settings.shutdown_grace_seconds)

    def _tell(self, projection: str, *, following: bool) -> None:
        self._server.set_serving(health_name(projection), following)


async def serve(settings: ProjectorSettings, stop: Stop) -> None:
    """Runs the projector on SQLite until it is told to stop.

    Raises:
        StartFailed: the data or an address is in use, or the data is of a newer release or of
            another log.
        StoreBroken: a store failed in a way after which only a restart can go on.
    """
    path = settings.data_dir / READ_DB
    async with AsyncExitStack() as stack:
        thread = OwnThread("projector")
        stack.push_async_callback(asyncio.to_thread, thread.close)
        owned = await thread.run(lambda: OwnedFile(path))
        stack.callback(owned.release)
        tables = [table for projection in PROJECTIONS for table in projection.tables]
        with opening(path):
            read_store = await thread.run(
                lambda: SqlReadStore(
                    # A commit that a power loss takes back is applied again: its checkpoint goes
                    # with it. So commits need not wait for the disk.
                    owner_engine(path, durable=False),
                    tables=tables,
                    schema_version=READ_SCHEMA_VERSION,
                )
            )
        stack.push_async_callback(thread.run, read_store.close)
        if read_store.replaced_version is not None:
            log.info(
                "read_models_are_made_anew",
                reason="those there were are of an older release",
                old_version=read_store.replaced_version,
                new_version=READ_SCHEMA_VERSION,
            )
        write_store = SqlWriteStoreReader(reader_engine(settings.data_dir / WRITE_DB))
        stack.push_async_callback(thread.run, write_store.close)
        wakes = await stack.enter_async_context(
            WakeReceiver(settings.data_dir, PROJECTOR_WAKE)
        )
        readers = WakeSender(settings.data_dir, READER_WAKES)
        stack.callback(readers.close)
        registry = CollectorRegistry()
        metrics_server = MetricsServer(settings.projector_metrics_address, registry)
        stack.callback(metrics_server.close)
        projector = Projector(
            settings=settings,
            projections=PROJECTIONS,
            write_store=write_store,
            read_store=read_store,
            thread=thread,
            wakes=wakes,
            clock=now,
            moved=readers.send,
            registry=registry,
        )
        stack.push_async_callback(projector.stop)
        metrics_address = metrics_server.start()
        address = await projector.start(stop)
        log.info(
            "listening",
            service="projector",
            address=address,
            metrics_address=metrics_address,
            projections=[projection.name for projection in PROJECTIONS],
        )
        await stop.wait()
        log.info("draining")
