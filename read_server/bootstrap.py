"""The composition root of the read server: what it is made of, how it starts and how it drains."""

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from contexts.orders.read.moments import Moments
from contexts.orders.read.queries import OrderQueries
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.read.service import SERVICE, QueryService
from contexts.orders.read.summaries import SummaryQueries
from contexts.orders.read.time_travel import TimeTravel
from contexts.orders.read.watching.watch import OrderWatch
from eventcore.errors import StartFailed
from eventcore.messages import Instant
from eventcore.process.clock import now
from eventcore.process.data_dir import READ_DB, READER_WAKES
from eventcore.process.lifecycle import Stop
from eventcore.process.metrics_server import MetricsServer
from eventcore.read_store import ReadSnapshots
from eventcore.rpc.server import RpcServer
from eventcore.sql.read_snapshots import SqlReadSnapshots
from eventcore.sql.sqlite import async_reader_engine
from eventcore.telemetry import RpcMetrics
from eventcore.wake import WakeReceiver
from read_server.consistency import Consistency
from read_server.readiness import Readiness
from read_server.settings import ReadServerSettings

log = structlog.get_logger()


class ReadServer:
    """The read server over any read models: queries, their freshness, health and port."""

    def __init__(
        self,
        *,
        settings: ReadServerSettings,
        path: Path,
        snapshots: ReadSnapshots,
        wakes: WakeReceiver,
        clock: Callable[[], Instant],
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._consistency = Consistency(
            snapshots=snapshots,
            wakes=wakes,
            clock=clock,
            poll_seconds=settings.read_poll_seconds,
        )
        moments = Moments(snapshots=snapshots, freshness=self._consistency, clock=clock)
        self._watch = OrderWatch(
            moments=moments,
            freshness=self._consistency,
            clock=clock,
            streams_max=settings.watch_streams_max,
        )
        service = QueryService(
            queries=OrderQueries(moments),
            time_travel=TimeTravel(moments),
            summaries=SummaryQueries(moments),
            watch=self._watch,
            clock=clock,
        )
        self._server = RpcServer(
            address=settings.read_address,
            services=[service.hosted()],
            metrics=RpcMetrics(registry),
        )
        self._tell(ready=False)
        self._readiness = Readiness(
            path=path,
            consistency=self._consistency,
            projections=ORDER_PROJECTIONS,
            on_ready=lambda ready: self._tell(ready=ready),
        )
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self, stop: Stop) -> str:
        """Opens the port, begins to watch the read models, and returns the address.

        Args:
            stop: Is set with the error when there is no point in going on.

        Raises:
            StartFailed: the address is in use.
        """
        address = await self._server.start()
        self._run(self._consistency.follow(), stop)
        self._run(self._readiness.follow(), stop)
        return address

    async def stop(self) -> None:
        """Lets the queries under way finish, but none wait for news, and closes the port."""
        self._consistency.close()
        self._watch.close()
        await self._server.stop(grace_seconds=self._settings.shutdown_grace_seconds)
        for task in self._tasks:
            task.cancel()
        # What one of them failed with has reached `stop`, which ends the process with it.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self, *, ready: bool) -> None:
        self._server.set_serving(SERVICE.full_name, ready)

    def _run(self, endless: Coroutine[Any, Any, Any], stop: Stop) -> None:
        task = asyncio.create_task(endless)
        task.add_done_callback(
            lambda task: stop.set(None if task.cancelled() else task.exception())
        )
        self._tasks.append(task)


def _own_wake_name() -> str:
    """A name that no other read server has, nor one that died before with the same pid."""
    return READER_WAKES.replace("*", f"{os.getpid()}-{secrets.token_hex(4)}")


async def serve(settings: ReadServerSettings, stop: Stop) -> None:
    """Runs the read server on SQLite until it is told to stop, then drains it.

    Raises:
        StartFailed: an address is in use, or the read models are of a newer release.
    """
    path = settings.data_dir / READ_DB
    try:
        await asyncio.to_thread(settings.data_dir.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailed(
            f"cannot make {settings.data_dir}: {error.strerror}; choose another "
            "--data-dir (ORDERES_DATA_DIR)"
        ) from None
    async with AsyncExitStack() as stack:
        snapshots = SqlReadSnapshots(
            async_reader_engine(path, connections=settings.read_connections)
        )
        stack.push_async_callback(snapshots.close)
        wakes = await stack.enter_async_context(
            WakeReceiver(settings.data_dir, _own_wake_name())
        )
        registry = CollectorRegistry()
        metrics_server = MetricsServer(settings.read_metrics_address, registry)
        stack.callback(metrics_server.close)
        server = ReadServer(
            settings=settings,
            path=path,
            snapshots=snapshots,
            wakes=wakes,
            clock=now,
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
        )
        await stop.wait()
        log.info("draining")
