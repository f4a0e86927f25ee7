"""A client that watches orders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.duration_pb2 import Duration

from orderes.v1.query_service_pb2 import WatchMark, WatchOrdersRequest
from tests.read_server.scene import Scene
from tests.support.rpc import Failure, failure_of

MESSAGE_SECONDS_MAX = 10.0
OFTEN = Duration(nanos=50_000_000)
"""Between marks, where the fixture `often` allows it."""


class Watcher:
    """A client that watches, and keeps what it has read."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._messages = call.__aiter__()
        self.events: list[Any] = []
        self.marks: list[WatchMark] = []

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.events]

    async def read(self) -> None:
        """Takes the next message."""
        async with asyncio.timeout(MESSAGE_SECONDS_MAX):
            message = await anext(self._messages)
        if message.HasField("mark"):
            self.marks.append(message.mark)
        else:
            self.events.append(message.event)

    async def read_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.read()

    async def read_to(self, position: int) -> None:
        """Reads up to an event that is wanted."""
        await self.read_until(lambda: self.positions[-1:] >= [position])

    async def caught_up(self) -> None:
        """Reads up to a mark that says that this is all."""
        await self.read_until(
            lambda: bool(self.marks) and self.marks[-1].caught_up,
        )


@asynccontextmanager
async def watching(scene: Scene, **fields: Any) -> AsyncIterator[Watcher]:
    call = scene.queries.WatchOrders(WatchOrdersRequest(**fields))
    watcher = Watcher(call)
    await watcher.read()
    assert len(watcher.marks) == 1, "the first message is a mark"
    try:
        yield watcher
    finally:
        call.cancel()


async def refused(scene: Scene, **fields: Any) -> Failure:
    call = scene.queries.WatchOrders(WatchOrdersRequest(**fields))
    return await failure_of(call.read())
