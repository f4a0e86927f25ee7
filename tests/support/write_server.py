"""A write server in this process, over a store in memory that can be held up or made to fail."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from prometheus_client import CollectorRegistry

from contexts.orders.write.handlers import ORDER_HANDLERS
from eventcore.aggregate import CommandHandler
from eventcore.memory.write_store import MemoryWriteStore
from eventcore.messages import CommandRecord, EventEnvelope, Lane
from eventcore.process.lifecycle import Stop
from eventcore.threads import OwnThread
from eventcore.write_store import WriteUnit
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import LOCALHOST, channel_to
from write_server.bootstrap import WriteServer
from write_server.settings import WriteServerSettings

STORE_ID = "01900000-0000-7000-8000-00000000abcd"
START = 1_750_000_000_000_000
HELD_SECONDS_MAX = 30.0
ALL = 1_000_000


class HeldStore:
    """A store whose transactions can be held up, or made to fail."""

    def __init__(self, memory: MemoryWriteStore) -> None:
        self._memory = memory
        self._free = threading.Event()
        self._free.set()
        self.is_held = threading.Event()
        """Set while the writer stands at the beginning of a transaction."""
        self.error: Callable[[], Exception] | None = None
        """What every transaction fails with, if it is set."""

    def hold(self) -> None:
        """Lets no transaction begin."""
        self._free.clear()

    def let_go(self) -> None:
        """Lets what is held go on."""
        self._free.set()

    @contextmanager
    def begin(self) -> Iterator[WriteUnit]:
        if not self._free.is_set():
            self.is_held.set()
            assert self._free.wait(HELD_SECONDS_MAX)
            self.is_held.clear()
        if self.error is not None:
            raise self.error()
        with self._memory.begin() as unit:
            yield unit

    def close(self) -> None:
        self._memory.close()


@dataclass(slots=True, kw_only=True)
class RunningWriteServer:
    """A write server with a client."""

    server: WriteServer
    address: str
    channel: grpc.aio.Channel
    admin_channel: grpc.aio.Channel
    store: HeldStore
    memory: MemoryWriteStore
    registry: CollectorRegistry
    stop: Stop
    appended: list[int] = field(default_factory=list)
    """A number for each time that it told of new events."""

    @property
    def stub(self) -> Any:
        """A client of the CommandService."""
        return CommandServiceStub(self.channel)

    @property
    def admin(self) -> Any:
        """A client of the WriteAdminService."""
        return WriteAdminServiceStub(self.admin_channel)

    def depth(self, lane: Lane = Lane.NORMAL) -> float:
        """Commands that hold a slot of the lane."""
        return self.sample("orderes_command_queue_depth", lane=lane.value)

    async def depth_is(self, depth: int, lane: Lane = Lane.NORMAL) -> None:
        """Returns once so many commands hold a slot of the lane."""
        await eventually(lambda: self.depth(lane) == depth)

    def sample(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 before its first one."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def log(self) -> list[EventEnvelope]:
        """All events."""
        with self.memory.snapshot() as snapshot:
            return snapshot.events.read_log(after_position=0, limit=ALL)

    def records(self, *command_ids: str) -> dict[str, CommandRecord]:
        """Those of the commands that are in the journal."""
        with self.memory.snapshot() as snapshot:
            return snapshot.journal.find(command_ids)

    @asynccontextmanager
    async def writer_held(self, *calls: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
        """Holds the writer in its first transaction, with these calls on their way.

        The first call is in the hands of the writer; the others are sent after it. At the end the
        writer goes on.
        """
        self.store.hold()
        first, *others = calls
        tasks = [asyncio.ensure_future(first)]
        try:
            await eventually(self.store.is_held.is_set)
            tasks += [asyncio.ensure_future(call) for call in others]
            yield tasks
        finally:
            self.store.let_go()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running_write_server(
    handlers: Sequence[CommandHandler] = ORDER_HANDLERS, **settings: Any
) -> AsyncIterator[RunningWriteServer]:
    """Runs a write server with those settings, and drains it at the end.

    Time stands still, except that each transaction is a second after the one before it.
    """
    memory = MemoryWriteStore(store_id=STORE_ID)
    store = HeldStore(memory)
    threads = [OwnThread("writer"), OwnThread("reader")]
    registry = CollectorRegistry()
    times = itertools.count(START, 1_000_000)
    appended: list[int] = []
    stop = Stop()
    server = WriteServer(
        settings=WriteServerSettings(
            write_address=LOCALHOST, write_admin_address=LOCALHOST, **settings
        ),
        store=store,
        store_id=STORE_ID,
        reader=memory,
        writer_thread=threads[0],
        reader_thread=threads[1],
        clock=lambda: next(times),
        new_id=an_id,
        on_appended=lambda: appended.append(len(appended) + 1),
        registry=registry,
        handlers=handlers,
    )
    addresses = await server.start(stop)
    try:
        async with (
            channel_to(addresses.commands) as channel,
            channel_to(addresses.admin) as admin_channel,
        ):
            yield RunningWriteServer(
                server=server,
                address=addresses.commands,
                channel=channel,
                admin_channel=admin_channel,
                store=store,
                memory=memory,
                registry=registry,
                stop=stop,
                appended=appended,
            )
    finally:
        store.let_go()
        await _drain(server, stop)
        for thread in threads:
            await asyncio.to_thread(thread.close)


async def _drain(server: WriteServer, stop: Stop) -> None:
    try:
        await server.stop()
    except Exception as error:
        if error is not stop.error:
            raise
