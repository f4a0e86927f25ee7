"""Reads jobs from stdin, a line each, and answers each with a line of JSON on stdout."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import grpc.aio
import msgspec

from benchmarks.generator import works
from benchmarks.generator.jobs import Job, Tally, Work
from benchmarks.generator.loops import event_loops
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

CONNECTIONS = 4
OPTIONS = [
    # Retries of the library would hide what a caller sees.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
]

Caller = Callable[[Job, Any, Tally], Awaitable[None]]
CALLERS: dict[Work, Caller] = {
    Work.PLACE: works.place,
    Work.BATCHES: works.send_batches,
    Work.STREAM: works.stream,
}


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Clients of a few connections, as several busy machines would have."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(address, options=OPTIONS)
            )
            for _ in range(CONNECTIONS)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield channels


class Generator:
    """Does jobs, one after the other."""

    def __init__(self) -> None:
        self._orders: list[str] = []

    async def do(self, job: Job) -> Tally:
        """Does a job."""
        tally = Tally()
        async with connected(job.address) as channels:
            await asyncio.sleep(max(0.0, job.begin - time.monotonic()))
            began = time.monotonic()
            await self._work(job, channels, tally)
            tally.seconds = job.seconds or time.monotonic() - began
        return tally

    async def _work(
        self, job: Job, channels: Sequence[grpc.aio.Channel], tally: Tally
    ) -> None:
        stubs: list[Any] = [CommandServiceStub(channel) for channel in channels]
        match job.work:
            case Work.ECHO:
                await self._all(works.echo, job, channels, tally)
            case Work.GET:
                queries = [QueryServiceStub(channel) for channel in channels]
                await self._all(
                    partial(works.get, orders=self._orders), job, queries, tally
                )
            case Work.PREPARE:
                self._orders += await works.prepare(job.count, stubs, tally)
            case Work.PAY:
                await works.pay(job, self._orders, stubs, tally)
            case Work.LIVES:
                await works.live(job, stubs, tally)
            case Work.PLACE | Work.BATCHES | Work.STREAM:
                await self._all(CALLERS[job.work], job, stubs, tally)

    async def _all(
        self, caller: Caller, job: Job, stubs: Sequence[Any], tally: Tally
    ) -> None:
        """All callers at once, each on one of the connections."""
        await asyncio.gather(
            *(
                caller(job, stubs[number % len(stubs)], tally)
                for number in range(job.callers)
            )
        )


async def serve() -> None:
    """Does what it is told until stdin ends."""
    generator = Generator()
    decoder = msgspec.json.Decoder(Job)
    while line := await asyncio.to_thread(sys.stdin.readline):
        tally = await generator.do(decoder.decode(line))
        sys.stdout.write(msgspec.json.encode(tally).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loops()) as runner:
        runner.run(serve())
