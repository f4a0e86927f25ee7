"""The three processes of the demo, with data and ports of their own."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import grpc

from cli.client import NOT_RETRYING, RETRYING, WITHOUT_PROXY
from cli.ports import free_addresses
from cli.supervisor import Supervisor
from cli.up import child_specs
from cli.up_settings import PROCESSES, UpSettings
from eventcore.process.settings import load_settings
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

if TYPE_CHECKING:
    # Names that only the type stubs of the generated code know.
    from orderes.v1.command_service_pb2_grpc import CommandServiceAsyncStub
    from orderes.v1.query_service_pb2_grpc import QueryServiceAsyncStub

Commands: TypeAlias = "CommandServiceAsyncStub"
Queries: TypeAlias = "QueryServiceAsyncStub"

QUEUE_CAPACITY = 4
"""Small, so that a few hundred calls at once find it full."""
START_SECONDS_MAX = 30.0
CALL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
WRITE_SERVER = "write_server"


class House:
    """Runs the processes and connects to them."""

    def __init__(self, settings: UpSettings, supervisor: Supervisor) -> None:
        self.settings = settings
        self._supervisor = supervisor
        self._channels = AsyncExitStack()

    async def start(self) -> None:
        """Starts the three processes and waits until they serve.

        Raises:
            CannotStart: one cannot start.
            TimeoutError: they took too long.
        """
        self._supervisor.start()
        async with asyncio.timeout(START_SECONDS_MAX):
            await self._supervisor.all_ready()

    async def close(self) -> None:
        """Closes the channels and stops the processes."""
        await self._channels.aclose()
        await self._supervisor.stop()

    async def commands(self, *, retrying: bool = True) -> Commands:
        """The command service, on a connection of its own."""
        return CommandServiceStub(
            await self._channel(self.settings.write_address, retrying=retrying)
        )

    async def queries(self) -> Queries:
        """The query service."""
        return QueryServiceStub(
            await self._channel(self.settings.read_address, retrying=True)
        )

    async def kill_write_server(self) -> int:
        """Ends the write server with kill -9, and returns once it is dead; its pid."""
        process = self._supervisor.children[WRITE_SERVER].process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        await process.wait()
        return process.pid

    async def write_server_is_back(self, dead_pid: int) -> None:
        """Returns once another write server serves.

        Raises:
            TimeoutError: none came.
        """
        child = self._supervisor.children[WRITE_SERVER]

        def is_back() -> bool:
            process = child.process
            another = process is not None and process.pid != dead_pid
            return another and child.ready.is_set()

        async with asyncio.timeout(START_SECONDS_MAX):
            while not is_back():  # noqa: ASYNC110 - Two things must be so at once.
                await asyncio.sleep(POLL_SECONDS)

    async def _channel(self, address: str, *, retrying: bool) -> grpc.aio.Channel:
        options = (
            *(RETRYING if retrying else NOT_RETRYING),
            *WITHOUT_PROXY,
            ("grpc.use_local_subchannel_pool", 1),
        )
        channel = grpc.aio.insecure_channel(address, options=options)
        return await self._channels.enter_async_context(channel)


@asynccontextmanager
async def house(
    directory: Path, log: IO[bytes], tell: Callable[[str], None]
) -> AsyncIterator[House]:
    """A house of its own; afterwards nothing of it runs any more."""
    addresses = free_addresses()
    flags: dict[str, object] = {
        name: next(addresses) for process in PROCESSES for name in process.addresses
    }
    flags |= {"data_dir": directory / "data", "queue_capacity": QUEUE_CAPACITY}
    settings = load_settings(UpSettings, flags)
    supervisor = Supervisor(
        child_specs(settings),
        grace_seconds=settings.shutdown_grace_seconds,
        tell=tell,
        output=log,
    )
    made = House(settings, supervisor)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
