"""The composition root of the write server: what it is made of, how it starts and how it drains."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from contexts.orders.write.admin_service import WriteAdminService
from contexts.orders.write.handlers import ORDER_HANDLERS
from contexts.orders.write.service import COMMAND_TYPES, SERVICE, CommandService
from eventcore.aggregate import CommandHandler, CommandHandlers
from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.messages import Instant, Lane
from eventcore.process.clock import now
from eventcore.process.data_dir import PROJECTOR_WAKE, WRITE_DB
from eventcore.process.lifecycle import Stop
from eventcore.process.metrics_server import MetricsServer
from eventcore.rpc.server import RpcLimits, RpcServer
from eventcore.sql.sqlite import (
    OwnedFile,
    opening,
    owner_engine,
    reader_engine,
)
from eventcore.sql.write_store import SqlWriteStore, SqlWriteStoreReader
from eventcore.telemetry import RpcMetrics, WriteMetrics
from eventcore.threads import OwnThread
from eventcore.wake import WakeSender
from eventcore.write_store import WriteStore, WriteStoreReader
from write_server.administration import BusAdministration
from write_server.aggregates import AggregateCache
from write_server.batch import BatchExecutor
from write_server.command_bus import CommandBus
from write_server.command_log import CommandLog
from write_server.execution import Execution
from write_server.gateway import BusGateway
from write_server.lookup import Lookup
from write_server.pace import Pace
from write_server.pruning import Pruning
from write_server.recovery import recover
from write_server.retries import Retries
from write_server.settings import WriteServerSettings
from write_server.snapshotting import Snapshotting
from write_server.storing import CommandStoring
from write_server.writer import Writer

BYTES_IN_MB = 1_000_000

log = structlog.get_logger()


def new_id() -> str:
    """A UUIDv7: ids that grow with time keep an index where it is warm."""
    return str(uuid7())


class Addresses(NamedTuple):
    """Where a write server listens, host:port."""

    commands: str
    admin: str


class WriteServer:
    """The write server over any write store: bus, writer, gateway, services and ports."""

    def __init__(
        self,
        *,
        settings: WriteServerSettings,
        store: WriteStore,
        store_id: str,
        reader: WriteStoreReader,
        writer_thread: OwnThread,
        reader_thread: OwnThread,
        clock: Callable[[], Instant],
        new_id: Callable[[], str],
        on_appended: Callable[[], None],
        registry: CollectorRegistry,
        handlers: Iterable[CommandHandler] = ORDER_HANDLERS,
    ) -> None:
        self._settings = settings
        self._store = store
        self._thread = writer_thread
        self._stop: Stop | None = None
        self._clock = clock
        self._metrics = metrics = WriteMetrics(registry)
        rpc_metrics = RpcMetrics(registry)
        known = CommandHandlers(handlers, required=COMMAND_TYPES)
        pace = Pace(batch_commands_max=settings.batch_commands_max)
        self._bus = CommandBus(
            settings.lane_rules(),
            pace=pace,
            retries=Retries(backoff_seconds=settings.retry_backoff_seconds),
        )
        self._watch(metrics)
        self._writer = Writer(
            bus=self._bus,
            execution=_execution(settings, store, known, clock, new_id),
            thread=writer_thread,
            pace=pace,
            metrics=metrics,
            batch_commands_max=settings.batch_commands_max,
            on_appended=on_appended,
        )
        lookup = Lookup(
            reader=reader,
            thread=reader_thread,
            handlers=known,
            on_broken=self._broken,
        )
        gateway = BusGateway(
            store_id=store_id,
            bus=self._bus,
            lookup=lookup,
            command_log=CommandLog(metrics),
            streams_max=settings.command_streams_max,
        )
        administration = BusAdministration(
            store_id=store_id,
            bus=self._bus,
            lookup=lookup,
            store=store,
            writer_thread=writer_thread,
            clock=clock,
            metrics=metrics,
            on_broken=self._broken,
        )
        service = CommandService(gateway=gateway, new_order_id=new_id)
        self._server = RpcServer(
            address=settings.write_address,
            services=[service.hosted()],
            metrics=rpc_metrics,
            limits=RpcLimits(connection_calls_max=settings.connection_calls_max),
        )
        self._admin_server = RpcServer(
            address=settings.write_admin_address,
            services=[WriteAdminService(administration).hosted()],
            metrics=rpc_metrics,
        )
        self._writing: asyncio.Task[None] | None = None

    async def start(self, stop: Stop) -> Addresses:
        """Takes up what is stored and not executed, opens the ports, and begins to execute.

        Args:
            stop: Is set with the error when the writer ends before it is told to.

        Raises:
            StartFailed: an address is in use.
            StoreUnavailable: the store does not answer.
        """
        self._stop = stop
        recovered = await self._thread.run(lambda: recover(self._store))
        if recovered.pause is not None:
            self._bus.pause()
        self._bus.restore(recovered.commands, now=self._clock())
        self._metrics.failed(recovered.failed)
        if recovered.commands or recovered.pause is not None:
            log.info(
                "recovered",
                commands=len(recovered.commands),
                paused=recovered.pause is not None,
            )
        admin_address = await self._admin_server.start()
        address = await self._server.start()
        self._writing = asyncio.create_task(self._writer.run())
        self._writing.add_done_callback(
            lambda task: stop.set(None if task.cancelled() else task.exception())
        )
        return Addresses(address, admin_address)

    async def stop(self) -> None:
        """Takes nothing more in, executes what is in memory, answers it, and closes the ports. What
        is stored and not executed stays so, for the next start.

        Raises:
            StoreBroken: the writer had ended with it.
        """
        # First: who waits for what is stored, or for room, would else wait for the whole grace, and
        # then be told of a command which is on disk that the server has shut down.
        self._bus.close()
        grace_seconds = self._settings.shutdown_grace_seconds
        await self._server.stop(grace_seconds=grace_seconds)
        await self._admin_server.stop(grace_seconds=grace_seconds)
        if self._writing is not None:
            await self._writing

    def _broken(self, error: StoreBroken) -> None:
        """After an I/O error only a restart can tell what is on disk, whoever has met it."""
        self._bus.fail_all(StoreUnavailable())
        if self._stop is not None:
            self._stop.set(error)

    def _watch(self, metrics: WriteMetrics) -> None:
        lanes = self._bus.lanes
        admission = self._bus.admission
        for lane in Lane:
            metrics.watch_lane(
                lane,
                capacity=lanes.rule(lane).capacity,
                depth=partial(lanes.depth, lane),
                backlog=partial(lanes.backlog, lane),
                holding=partial(admission.holding, lane),
            )
        metrics.watch_pause(lambda: self._bus.paused)


def _execution(
    settings: WriteServerSettings,
    store: WriteStore,
    handlers: CommandHandlers,
    clock: Callable[[], Instant],
    new_id: Callable[[], str],
) -> Execution:
    cache = AggregateCache(
        aggregates_max=settings.aggregate_cache_max,
        bytes_max=settings.aggregate_cache_mb * BYTES_IN_MB,
    )
    snapshotting = Snapshotting(
        store=store, cache=cache, every_events=settings.snapshot_every_events
    )
    return Execution(
        storing=CommandStoring(
            store=store,
            handlers=handlers,
            clock=clock,
            attempts_max=settings.attempts_max,
        ),
        executor=BatchExecutor(
            store=store,
            handlers=handlers,
            clock=clock,
            new_event_id=new_id,
            cache=cache,
            snapshotting=snapshotting,
            attempts_max=settings.attempts_max,
        ),
        snapshotting=snapshotting,
        pruning=Pruning(
            store=store,
            keep_events=settings.outbox_keep_events,
            prune_events_max=settings.outbox_prune_events_max,
        ),
    )


async def serve(settings: WriteServerSettings, stop: Stop) -> None:
    """Runs the write server on SQLite until it is told to stop, then drains it.

    Raises:
        StartFailed: the data or an address is in use, or the data is of another release.
        StoreBroken: the store failed in a way after which only a restart can go on.
    """
    path = settings.data_dir / WRITE_DB
    async with AsyncExitStack() as stack:
        owned = OwnedFile(path)
        stack.callback(owned.release)
        writer_thread = OwnThread("writer")
        stack.push_async_callback(asyncio.to_thread, writer_thread.close)
        reader_thread = OwnThread("reader")
        stack.push_async_callback(asyncio.to_thread, reader_thread.close)
        with opening(path):
            store = await writer_thread.run(
                lambda: SqlWriteStore(
                    owner_engine(path, durable=True), new_store_id=new_id()
                )
            )
        stack.push_async_callback(writer_thread.run, store.close)
        reader = SqlWriteStoreReader(reader_engine(path))
        stack.push_async_callback(reader_thread.run, reader.close)
        wake = WakeSender(settings.data_dir, PROJECTOR_WAKE)
        stack.callback(wake.close)
        registry = CollectorRegistry()
        metrics_server = MetricsServer(settings.write_metrics_address, registry)
        stack.callback(metrics_server.close)
        server = WriteServer(
            settings=settings,
            store=store,
            store_id=store.store_id,
            reader=reader,
            writer_thread=writer_thread,
            reader_thread=reader_thread,
            clock=now,
            new_id=new_id,
            on_appended=wake.send,
            registry=registry,
        )
        stack.push_async_callback(server.stop)
        metrics_address = metrics_server.start()
        addresses = await server.start(stop)
        log.info(
            "listening",
            service=SERVICE.full_name,
            address=addresses.commands,
            admin_address=addresses.admin,
            metrics_address=metrics_address,
            store_id=store.store_id,
        )
        await stop.wait()
        log.info("draining")
