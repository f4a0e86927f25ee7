"""The processes of the read side, what they are asked, and what they are told of."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks.generator import requests
from benchmarks.process import ServerProcess
from orderes.v1 import projection_admin_service_pb2 as admin
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.projection_admin_service_pb2_grpc import ProjectionAdminServiceStub
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

CALL_SECONDS_MAX = 30.0
PROJECTIONS = ("orders", "order_events", "customer_summary", "product_sales")
SAMPLE_SECONDS = 0.25


class Projector(ServerProcess):
    """A projector, and what its operators see of it."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        addresses = ("--projector-address", "--projector-metrics-address")
        super().__init__("projector", data_dir, addresses, *flags)
        self._channel = grpc.insecure_channel(self.address)
        self._stub = ProjectionAdminServiceStub(self._channel)

    def shown(self) -> dict[str, admin.Projection]:
        """The projections, by name; none while the read store is not made."""
        try:
            answer = self._stub.ListProjections(
                admin.ListProjectionsRequest(), timeout=CALL_SECONDS_MAX
            )
        except grpc.RpcError:
            return {}
        return {projection.name: projection for projection in answer.projections}

    def is_at(self, position: int) -> bool | None:
        """True if all of them serve, and hold the log up to there; otherwise None."""
        shown = self.shown()
        are_there = len(shown) == len(PROJECTIONS) and all(
            each.position >= position for each in shown.values()
        )
        return are_there or None

    def rebuild(self, name: str) -> None:
        """Begins a rebuild."""
        self._stub.RebuildProjection(
            admin.RebuildProjectionRequest(name=name, reason="benchmarks"),
            timeout=CALL_SECONDS_MAX,
        )

    def kill(self) -> None:
        """What kill -9 does."""
        self._channel.close()
        super().kill()


class ReadServer(ServerProcess):
    """A read server, and a client of it."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        addresses = ("--read-address", "--read-metrics-address")
        super().__init__("read_server", data_dir, addresses, *flags)
        self._channel = grpc.insecure_channel(self.address)
        self.queries: Any = QueryServiceStub(self._channel)

    def kill(self) -> None:
        """What kill -9 does."""
        self._channel.close()
        super().kill()


@dataclass(slots=True)
class Sampled:
    """What was seen of a process, time after time."""

    resident_bytes: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0
    """What it has used meanwhile."""


@contextmanager
def sampled(process: ServerProcess) -> Iterator[Sampled]:
    """Looks at a process, again and again, while the block runs."""
    seen = Sampled()
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(SAMPLE_SECONDS):
            seen.resident_bytes.append(process.resident_bytes())

    before = process.cpu_seconds()
    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.cpu_seconds = process.cpu_seconds() - before


class SteadyWrites:
    """Places orders by the clock, and notes when each was answered."""

    def __init__(self, address: str, *, per_second: float) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub: Any = CommandServiceStub(self._channel)
        self._per_second = per_second
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_on)
        self.answered: dict[int, float] = {}
        """The time by position, in seconds of the monotonic clock."""

    def _write_on(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._over.wait(
            max(0.0, began + sent / self._per_second - time.monotonic())
        ):
            answer = self._stub.PlaceOrder(
                requests.place_order(), timeout=CALL_SECONDS_MAX
            )
            self.answered[answer.command.position] = time.monotonic()
            sent += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """While the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
            self._channel.close()


def milliseconds(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    count = len(ordered)
    return 1e3 * ordered[count // 2], 1e3 * ordered[min(count - 1, int(0.99 * count))]


def spread(seconds: Sequence[float]) -> str:
    """The same, as one reads it."""
    median, p99 = milliseconds(seconds)
    return f"median {median:.2f} ms, p99 {p99:.2f} ms"
