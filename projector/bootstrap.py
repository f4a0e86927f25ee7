"""The composition root of the projector: what it is made of, how it starts and how it drains."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import structlog
from prometheus_client import CollectorRegistry

from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.read.admin_service import SERVICE, ProjectionAdminService
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.schemas import order_codec
from eventcore.errors import StartFailed, StoreUnavailable
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
from eventcore.read_store import ReadStore, ReadStoreReader
from eventcore.rpc.server import RpcServer
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import (
    OwnedFile,
    opening,
    owner_engine,
    reader_engine,
    words_of,
)
from eventcore.sql.write_store import SqlWriteStoreReader
from eventcore.telemetry import ProjectionMetrics, RpcMetrics
from eventcore.threads import OwnThread
from eventcore.wake import WakeReceiver, WakeSender
from eventcore.write_store import WriteStoreReader
from projector.administration import StoredAdministration
from projector.comparison import Comparisons
from projector.follow import Follow
from projector.runner import ProjectionRunner
from projector.scratch import Scratch
from projector.settings import ProjectorSettings
from projector.verification import OnProgress, Report, Verification

PROJECTIONS: Sequence[Projection] = (*ORDER_PROJECTIONS,)
"""All read models. A bounded context adds its own in this line."""

log = structlog.get_logger()


def health_name(projection: str) -> str:
    """The name under which the health service knows a projection."""
    return f"projection.{projection}"


def own_name() -> str:
    """What this projector is called, by operators and other projectors."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Projector:
    """The projector over any stores: runner, administration, health and port."""

    def __init__(
        self,
        *,
        settings: ProjectorSettings,
        projections: Sequence[Projection],
        write_store: WriteStoreReader,
        read_store: ReadStore,
        thread: OwnThread,
        open_reader: Callable[[], ReadStoreReader],
        wakes: WakeReceiver,
        clock: Callable[[], Instant],
        moved: Callable[[], None],
        owner: str,
        seize: bool,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._thread = thread
        self._comparisons = Comparisons(open_reader)
        self._reader = open_reader()
        self._reader_thread = OwnThread("projector-reader")
        self._runner = ProjectionRunner(
            projections=projections,
            write_store=write_store,
            read_store=read_store,
            comparisons=self._comparisons,
            metrics=ProjectionMetrics(registry),
            clock=clock,
            moved=moved,
            owner=owner,
            seize=seize,
            limits=settings.limits(),
        )
        administration = StoredAdministration(
            projections=projections,
            read_store=read_store,
            thread=thread,
            reader=self._reader,
            reader_thread=self._reader_thread,
            clock=clock,
            keep_seconds=settings.replaced_keep_seconds,
            changed=self._runner.reload,
            wake=wakes.wake,
        )
        self._server = RpcServer(
            address=settings.projector_address,
            services=[ProjectionAdminService(administration).hosted()],
            metrics=RpcMetrics(registry),
        )
        for projection in projections:
            self._tell(projection.name, following=False)
        self._follow = Follow(
            runner=self._runner,
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
        """Ends after the batch under way, gives the projections up, and closes the port."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                # What it failed with has reached `stop`, which ends the process with it.
                await self._following
        await self._server.stop(grace_seconds=self._settings.shutdown_grace_seconds)
        with suppress(StoreUnavailable):
            # A lease that is not given up ends by itself.
            await self._thread.run(self._runner.release)
        await asyncio.to_thread(self._comparisons.close)
        await self._reader_thread.run(self._reader.close)
        await asyncio.to_thread(self._reader_thread.close)

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
        with opening(path):
            read_store = await thread.run(
                lambda: SqlReadStore(owner_engine(path, durable=False))
            )
        stack.push_async_callback(thread.run, read_store.close)
        if read_store.replaced_layout is not None:
            log.info(
                "read_models_are_made_anew",
                reason="those there were are of an older release",
                old_layout=read_store.replaced_layout,
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
            open_reader=lambda: SqlReadStoreReader(reader_engine(path)),
            wakes=wakes,
            clock=now,
            moved=readers.send,
            owner=own_name(),
            # Who owns the file knows that nobody else is at work on it.
            seize=True,
            registry=registry,
        )
        stack.push_async_callback(projector.stop)
        metrics_address = metrics_server.start()
        address = await projector.start(stop)
        log.info(
            "listening",
            service=SERVICE.full_name,
            address=address,
            metrics_address=metrics_address,
            projections=[projection.name for projection in PROJECTIONS],
        )
        await stop.wait()
        log.info("draining")


def verify(
    data_dir: Path, *, scratch_dir: Path | None, on_progress: OnProgress
) -> Report:
    """Verifies the stores in a folder, also while processes are at work on them. Blocking.

    Args:
        data_dir: Where they are.
        scratch_dir: Where the read models are folded again, which takes as much room as they do;
            None is where the system keeps what is temporary.
        on_progress: Told of each step.

    Raises:
        StartFailed: they are of a newer release, or there is no write store, or no room where the
            read models are folded again.
        StoreUnavailable: a store does not answer.
    """
    path = data_dir / WRITE_DB
    if not path.exists():
        raise StartFailed(
            f"there is no {path}: name the folder of the databases with --data-dir"
        )
    with ExitStack() as stack:
        try:
            beside = stack.enter_context(
                TemporaryDirectory(prefix="orderes-verify-", dir=scratch_dir)
            )
        except OSError as error:
            raise _no_scratch(scratch_dir, str(error)) from error
        writing = partial(_writing_scratch, scratch_dir)
        write_store = SqlWriteStoreReader(reader_engine(path))
        stack.callback(write_store.close)
        read_store = SqlReadStoreReader(reader_engine(data_dir / READ_DB))
        stack.callback(read_store.close)
        scratch_path = Path(beside) / READ_DB
        with writing():
            scratch = SqlReadStore(owner_engine(scratch_path, durable=False))
        stack.callback(scratch.close)
        scratch_reader = SqlReadStoreReader(reader_engine(scratch_path))
        stack.callback(scratch_reader.close)
        return Verification(
            projections=PROJECTIONS,
            decoders={ORDER_CATEGORY: order_codec.decode},
            write_store=write_store,
            read_store=read_store,
            scratch=Scratch(scratch, scratch_reader, writing=writing),
            on_progress=on_progress,
        ).run()


@contextmanager
def _writing_scratch(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise _no_scratch(folder, words_of(error)) from error


def _no_scratch(folder: Path | None, words: str) -> StartFailed:
    """The scratch directory cannot be written to, which tells nothing of the stores."""
    return StartFailed(
        f"cannot verify with the scratch directory {folder or gettempdir()}: {words}; make "
        "room there, or choose another with --scratch-dir"
    )
