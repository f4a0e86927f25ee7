"""Processes under test: start one, read what it says, stop it, see that it is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cli.ports import free_addresses

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.02

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_addresses = (
    address
    for address in free_addresses()
    # Tests that run beside each other must not choose the same port.
    if int(address.rpartition(":")[2]) % WORKERS == WORKER
)


def free_address() -> str:
    """127.0.0.1 with a port on which nothing listens, never the same twice in a run."""
    return next(_addresses)


def free_port() -> int:
    """The port of a free address."""
    return int(free_address().rpartition(":")[2])


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def children_of(pid: int) -> dict[str, int]:
    """The living children that run `python -m <module>`, by module."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not is_alive(int(entry.name)):
            continue
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and "-m" in words:
            found[words[words.index("-m") + 1]] = int(entry.name)
    return found


def wait_until(condition: Callable[[], bool], *, seconds_max: float, what: str) -> None:
    """Waits for a condition.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds_max} s: {what}")
        time.sleep(POLL_SECONDS)


class StartedProcess:
    """A process with its output, line by line. Leaving its `with` block kills it."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.popen = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._readers = [
            self._reader(self.popen.stdout, self._lines),
            self._reader(self.popen.stderr, self._errors),
        ]

    def _reader(self, pipe: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert pipe is not None

        def read() -> None:
            with pipe:
                for line in pipe:
                    with self._news:
                        lines.append(line.rstrip("\n"))
                        self._news.notify_all()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        """Everything it has written to stdout so far."""
        with self._news:
            return "\n".join(self._lines)

    @property
    def errors(self) -> str:
        """Everything it has written to stderr so far."""
        with self._news:
            return "\n".join(self._errors)

    def wait_for_line(
        self, text: str, *, seconds_max: float = START_SECONDS_MAX, count: int = 1
    ) -> str:
        """The `count`-th line of stdout that contains the text, once it is there."""
        deadline = time.monotonic() + seconds_max
        with self._news:
            while True:
                found = [line for line in self._lines if text in line]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or self.popen.poll() is not None:
                    break
                self._news.wait(min(left, 0.2))
        self._join_readers()
        if text in self.output and count == 1:
            return next(line for line in self._lines if text in line)
        raise AssertionError(
            f"no line with {text!r} (exit code {self.popen.poll()}):\n"
            f"{self.output}\n--- stderr\n{self.errors}"
        )

    def listening(self, *, seconds_max: float = START_SECONDS_MAX) -> dict[str, str]:
        """The fields of the JSON line with which a process says that it is ready."""
        line = self.wait_for_line('"listening"', seconds_max=seconds_max)
        fields: dict[str, str] = json.loads(line)
        return fields

    def wait(self, *, seconds_max: float = STOP_SECONDS_MAX) -> int:
        """Its exit code, once it has ended and all its output is read."""
        code = self.popen.wait(seconds_max)
        self._join_readers()
        return code

    def stop(self, *, seconds_max: float = STOP_SECONDS_MAX) -> int:
        """Asks it to end with SIGTERM; its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.wait(seconds_max=seconds_max)

    def kill(self) -> None:
        """Kills it with SIGKILL, if it still runs."""
        self.popen.kill()
        self.popen.wait(STOP_SECONDS_MAX)
        self._join_readers()

    def _join_readers(self) -> None:
        # A grandchild may hold the pipe open for longer: its lines are not waited for.
        for reader in self._readers:
            reader.join(1.0)


def start_module(
    module: str, *flags: str, environment: Mapping[str, str] | None = None
) -> StartedProcess:
    """Starts `python -m <module> <flags>` with the interpreter that runs the tests."""
    return StartedProcess(
        [sys.executable, "-m", module, *flags], environment=environment
    )
