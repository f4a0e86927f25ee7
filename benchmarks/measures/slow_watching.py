"""What a WatchOrders client that reads slowly does to the files and to everyone else."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks.fleet import Say
from benchmarks.ground import Ground
from benchmarks.measures.rebuilding import asked
from benchmarks.process import wait_for
from benchmarks.read_side import (
    Projector,
    ReadServer,
    Sampled,
    SteadyWrites,
    milliseconds,
    sampled,
    spread,
)
from benchmarks.report import Report, megabytes
from benchmarks.server import WriteServer
from orderes.v1.query_service_pb2 import WatchOrdersRequest
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

WRITES_PER_SECOND = 50.0
ALONE_SHARE = 0.2
"""Of the time: so long the same is measured without the slow client."""
READ_EVERY_SECONDS = 1.0
SAMPLE_SECONDS = 0.25
START_SECONDS_MAX = 600.0


@dataclass(slots=True, kw_only=True)
class Phase:
    """What was measured with the slow client, or without it."""

    delays: list[float]
    """From the receipt of a write to its event at a client that keeps up, in seconds."""
    queries: list[float]
    """Of GetOrder, in seconds."""
    wal_bytes: dict[str, int]
    """The longest that was seen of each database."""
    reader: Sampled


@dataclass(slots=True)
class WalSizes:
    """The longest write-ahead logs that were seen."""

    data_dir: Path
    longest: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Looks at both."""
        for name in ("write.db", "read.db"):
            size = (self.data_dir / f"{name}-wal").stat().st_size
            self.longest[name] = max(self.longest.get(name, 0), size)


def measure_slow_watching(ground: Ground, seconds: float, say: Say) -> Report:
    """Writes all the time; one client watches and keeps up, another reads one message a second.

    Args:
        ground: Where it goes on; the slow client begins at its first event.
        seconds: How long.
        say: Is told how far it is.
    """
    ground.prepare(say)
    with (
        WriteServer(ground.data_dir) as writer,
        Projector(ground.data_dir) as projector,
        ReadServer(ground.data_dir) as reader,
    ):
        wait_for(lambda: projector.is_at(ground.events), START_SECONDS_MAX)
        say(f"{ALONE_SHARE * seconds:.0f} s without the slow client")
        alone = _phase(ground, writer, reader, ALONE_SHARE * seconds)
        say(f"{seconds:.0f} s with it")
        with slow_watcher(reader.address) as read:
            beside = _phase(ground, writer, reader, seconds)
        for each in (reader, projector, writer):
            each.stop()
    return Report(
        name="slow_watching",
        title=(
            f"WatchOrders at one message a second from the first event on, for {seconds:.0f} s, "
            f"beside {WRITES_PER_SECOND:.0f} orders/s"
        ),
        rows=[
            ("messages that it has read", f"{len(read)}, without a gap"),
            *_rows("without it", alone),
            *_rows("with it", beside),
        ],
        figures={
            name: {
                "delay_milliseconds": milliseconds(phase.delays),
                "get_order_milliseconds": milliseconds(phase.queries),
                "wal_bytes_max": phase.wal_bytes,
                "read_server_resident_bytes": phase.reader.resident_bytes,
            }
            for name, phase in (("alone", alone), ("beside", beside))
        },
    )


def _rows(when: str, phase: Phase) -> list[tuple[str, str]]:
    wal = ", ".join(
        f"{name} {megabytes(size)}" for name, size in phase.wal_bytes.items()
    )
    return [
        (f"{when}: receipt to a client that keeps up", spread(phase.delays)),
        (f"{when}: GetOrder", spread(phase.queries)),
        (f"{when}: write-ahead logs, at most", wal),
        (f"{when}: read server, at most", megabytes(max(phase.reader.resident_bytes))),
    ]


def _phase(
    ground: Ground, writer: WriteServer, reader: ReadServer, seconds: float
) -> Phase:
    writes = SteadyWrites(writer.address, per_second=WRITES_PER_SECOND)
    sizes = WalSizes(ground.data_dir)
    with (
        keeping_up(reader.address) as seen,
        asked(reader, ground) as queries,
        sampled(reader) as memory,
        writes.going_on(),
    ):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(SAMPLE_SECONDS)
            sizes.look()
    delays = [
        seen[position] - answered
        for position, answered in writes.answered.items()
        if position in seen
    ]
    return Phase(delays=delays, queries=queries, wal_bytes=sizes.longest, reader=memory)


@contextmanager
def keeping_up(address: str) -> Iterator[dict[int, float]]:
    """A client that reads at once: when each position came."""
    seen: dict[int, float] = {}
    begun = threading.Event()

    def read_on(message: Any) -> None:
        begun.set()
        if message.HasField("event"):
            seen[message.event.position] = time.monotonic()

    with _watching(address, WatchOrdersRequest(), read_on):
        begun.wait(START_SECONDS_MAX)
        yield seen


@contextmanager
def slow_watcher(address: str) -> Iterator[list[int]]:
    """A client that takes its time, from the first event on: the positions that it has read."""
    read: list[int] = []
    over = threading.Event()

    def read_on(message: Any) -> None:
        if message.HasField("event"):
            if message.event.position != len(read) + 1:
                raise RuntimeError(f"{message.event.position} comes after {len(read)}")
            read.append(message.event.position)
        over.wait(READ_EVERY_SECONDS)

    with _watching(address, WatchOrdersRequest(after_position=0), read_on):
        try:
            yield read
        finally:
            over.set()


@contextmanager
def _watching(address: str, request: WatchOrdersRequest, take: Any) -> Iterator[None]:
    """A stream on a connection of its own, read by a thread of its own."""
    failed: list[Exception] = []
    with grpc.insecure_channel(address) as channel:
        stream: Any = QueryServiceStub(channel).WatchOrders(request)

        def read_on() -> None:
            try:
                for message in stream:
                    take(message)
            except grpc.RpcError as error:
                if not stream.cancelled():
                    failed.append(error)
            except RuntimeError as error:
                failed.append(error)

        thread = threading.Thread(target=read_on)
        thread.start()
        try:
            yield
        finally:
            stream.cancel()
            thread.join()
    if failed:
        raise failed[0]
