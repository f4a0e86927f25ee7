"""A write server as a process: start it, look at it, kill it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import grpc

from orderes.v1 import write_admin_service_pb2 as pb2
from orderes.v1.command_pb2 import Lane
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
SAMPLE_SECONDS = 0.05
CALL_SECONDS_MAX = 10.0
ANY_PORT = "127.0.0.1:0"
REASON = "benchmarks"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

T = TypeVar("T")


class WriteServer:
    """A write server with its defaults, but for the flags that are given."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        data_dir.mkdir(exist_ok=True)
        self.data_dir = data_dir
        self._log = data_dir / "write_server.log"
        self._log.unlink(missing_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "write_server"),
                    *("--data-dir", str(data_dir)),
                    *("--write-address", ANY_PORT),
                    *("--write-admin-address", ANY_PORT),
                    *("--write-metrics-address", ANY_PORT),
                    *flags,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        listening = self._listening()
        self.address = listening["address"]
        self._channel = grpc.insecure_channel(listening["admin_address"])
        self._admin = WriteAdminServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listening(self) -> dict[str, str]:
        def said() -> dict[str, str] | None:
            for line in self._log.read_text().splitlines():
                if '"listening"' in line:
                    fields: dict[str, str] = json.loads(line)
                    return fields
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"the write server has not started:\n{self._log.read_text()}"
                )
            return None

        return wait_for(said, START_SECONDS_MAX)

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

    def resident_bytes(self) -> int:
        """Its memory."""
        path = Path(f"/proc/{self._process.pid}/status")
        for line in path.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the write server has ended")

    def cpu_seconds(self) -> float:
        """What all its threads have used since its start."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        # The name, in parentheses, may hold blanks; user and system time are fields 14 and 15.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / CLOCK_TICKS

    def kill(self) -> None:
        """What kill -9 does."""
        self._channel.close()
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS_MAX)


def wait_for(condition: Callable[[], T | None], seconds_max: float) -> T:
    """What a condition gives as soon as it gives anything.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline = time.monotonic() + seconds_max
    while (found := condition()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds_max:.0f} s")
        time.sleep(POLL_SECONDS)
    return found


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
