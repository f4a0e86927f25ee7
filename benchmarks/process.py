"""A server as a process: start it, look at it, kill it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
ANY_PORT = "127.0.0.1:0"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

T = TypeVar("T")


class ServerProcess:
    """A server with its defaults, but for the flags that are given."""

    def __init__(
        self, module: str, data_dir: Path, addresses: tuple[str, ...], *flags: str
    ) -> None:
        """Starts it, and waits until it listens.

        Args:
            module: What is run.
            data_dir: Its data; made if it is missing.
            addresses: The flags of its ports, which it chooses.
            flags: All others.
        """
        data_dir.mkdir(exist_ok=True)
        self.data_dir = data_dir
        self._module = module
        self._log = data_dir / f"{module}.log"
        self._log.unlink(missing_ok=True)
        ports = [word for address in addresses for word in (address, ANY_PORT)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", module),
                    *("--data-dir", str(data_dir)),
                    *ports,
                    *flags,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.listening = wait_for(self._listening, START_SECONDS_MAX)
        self.address = self.listening["address"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listening(self) -> dict[str, str] | None:
        for line in self._log.read_text().splitlines():
            if '"listening"' in line:
                fields: dict[str, str] = json.loads(line)
                return fields
        if self._process.poll() is not None:
            raise RuntimeError(
                f"{self._module} has not started:\n{self._log.read_text()}"
            )
        return None

    def resident_bytes(self) -> int:
        """Its memory."""
        path = Path(f"/proc/{self._process.pid}/status")
        for line in path.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{self._module} has ended")

    def cpu_seconds(self) -> float:
        """What all its threads have used since its start."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        # The name, in parentheses, may hold blanks; user and system time are fields 14 and 15.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / CLOCK_TICKS

    def kill(self) -> None:
        """What kill -9 does."""
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
