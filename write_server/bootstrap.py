"""The composition root of the write server: what it is made of, how it starts and how it drains."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from contexts.orders.write.handlers import ORDER_HANDLERS
from contexts.orders.write.service import COMMAND_TYPES, SERVICE, CommandService
from eventcore.aggregate import CommandHandlers
from eventcore.messages import Instant, Lane
from eventcore.process.clock import now
from eventcore.process.data_dir import PROJECTOR_WAKE, WRITE_DB
from eventcore.process.lifecycle import Stop
from eventcore.process.metrics_server import MetricsServer
from eventcore.rpc.server import RpcServer
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
from write_server.batch import BatchExecutor
from write_server.command_bus import CommandBus
from write_server.gateway import BusGateway
from write_server.pace import Pace
from write_server.settings import WriteServerSettings
from write_server.writer import Writer

log = structlog.get_logger()


def new_id() -> str:
    """A UUIDv7: ids that grow with time keep an index where it is warm."""
    return str(uuid7())


class WriteServer:
    """The write server over any write store: bus, writer, gateway, service and port."""

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
    ) -> None:
        self._settings = settings
        metrics = WriteMetrics(registry)
        handlers = CommandHandlers(ORDER_HANDLERS, required=COMMAND_TYPES)
        pace = Pace(batch_commands_max=settings.batch_commands_max)
        self._bus = CommandBus(settings.capacities(), pace=pace)
        self._watch_lanes(metrics)
        self._writer = Writer(
            bus=self._bus,
            executor=BatchExecutor(
                store=store,
                handlers=handlers,
                clock=clock,
                new_event_id=new_id,
                aggregates_max=settings.aggregate_cache_max,
            ),
            thread=writer_thread,
            pace=pace,
            metrics=metrics,
            batch_commands_max=settings.batch_commands_max,
            on_appended=on_appended,
        )
        gateway = BusGateway(
            store_id=store_id,
            bus=self._bus,
            reader=reader,
            reader_thread=reader_thread,
            handlers=handlers,
            metrics=metrics,
        )
        service = CommandService(gateway=gateway, new_order_id=new_id)
        self._server = RpcServer(
            address=settings.write_address,
            services=[service.hosted()],
            metrics=RpcMetrics(registry),
        )
        self._writing: asyncio.Task[None] | None = None

    async def start(self, stop: Stop) -> str:
        """Opens the port, begins to execute, and returns the address.

        Args:
            stop: Is set with the error when the writer ends before it is told to.

        Raises:
            StartFailed: the address is in use.
        """
        address = await self._server.start()
        self._writing = asyncio.create_task(self._writer.run())
        self._writing.add_done_callback(
            lambda task: stop.set(None if task.cancelled() else task.exception())
        )
        return address

    async def stop(self) -> None:
        """Takes nothing more in, executes what was taken, answers it, and closes the port.

        Raises:
            StoreBroken: the writer had ended with it.
        """
        await self._server.stop(grace_seconds=self._settings.shutdown_grace_seconds)
        self._bus.close()
        if self._writing is not None:
            await self._writing

    def _watch_lanes(self, metrics: WriteMetrics) -> None:
        lanes = self._bus.lanes
        for lane in Lane:
            metrics.watch_lane(
                lane,
                capacity=lanes.capacity(lane),
                depth=lambda lane=lane: lanes.depth(lane),  # type: ignore[misc]
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
        address = await server.start(stop)
        log.info(
            "listening",
            service=SERVICE.full_name,
            address=address,
            metrics_address=metrics_address,
            store_id=store.store_id,
        )
        await stop.wait()
        log.info("draining")
