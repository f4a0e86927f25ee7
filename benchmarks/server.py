"""A write server as a process, and what its operators see of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks.process import ServerProcess
from orderes.v1 import write_admin_service_pb2 as pb2
from orderes.v1.command_pb2 import Lane
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub

SAMPLE_SECONDS = 0.05
CALL_SECONDS_MAX = 10.0
REASON = "benchmarks"
ADDRESSES = ("--write-address", "--write-admin-address", "--write-metrics-address")


class WriteServer(ServerProcess):
    """A write server with its defaults, but for the flags that are given."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        super().__init__("write_server", data_dir, ADDRESSES, *flags)
        self._channel = grpc.insecure_channel(self.listening["admin_address"])
        self._admin = WriteAdminServiceStub(self._channel)

    def status(self) -> pb2.GetWriteStatusResponse:
        """What its operators see."""
        return self._admin.GetWriteStatus(
            pb2.GetWriteStatusRequest(), timeout=CALL_SECONDS_MAX
        )

    def pause(self) -> None:
        """Stops its execution."""
        self._admin.PauseExecution(
            pb2.PauseExecutionRequest(reason=REASON), timeout=CALL_SECONDS_MAX
        )

    def resume(self) -> None:
        """Undoes `pause`."""
        self._admin.ResumeExecution(
            pb2.ResumeExecutionRequest(reason=REASON), timeout=CALL_SECONDS_MAX
        )

    def kill(self) -> None:
        """What kill -9 does."""
        self._channel.close()
        super().kill()


@dataclass(slots=True)
class Watched:
    """What was seen of a server, time after time."""

    depths: dict[str, list[int]] = field(default_factory=dict)
    """Slots in use, by lane."""
    capacities: dict[str, int] = field(default_factory=dict)
    resident_bytes: list[int] = field(default_factory=list)

    def deepest(self, lane: str) -> int:
        """Most slots of the lane that were seen in use."""
        return max(self.depths.get(lane, [0]))


@contextmanager
def watched(server: WriteServer) -> Iterator[Watched]:
    """Looks at a server, again and again, while the block runs."""
    seen = Watched()
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for lane in server.status().lanes:
                name = Lane.Name(lane.lane).removeprefix("LANE_").lower()
                seen.depths.setdefault(name, []).append(lane.depth)
                seen.capacities[name] = lane.capacity
            seen.resident_bytes.append(server.resident_bytes())

    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
