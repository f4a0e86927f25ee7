"""Wake-ups between processes of one machine: empty datagrams to Unix sockets in the data folder.

A wake-up is a hint on top of a slow poll, never the only way to learn of something: it may be lost,
come twice, or come for nothing. What it saves is the wait for the poll.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

SOCKET_PATH_BYTES_MAX = 103
"""Longest path that every system takes for a socket: macOS has room for 104 bytes, Linux for 108,
the zero at the end included."""

DATAGRAMS_PER_TURN_MAX = 64
"""Datagrams taken off the socket before the loop goes on. All of them are one wake-up."""

_log = structlog.get_logger()


class WakeReceiver:
    """Waits for wake-ups under a name of its own in a folder, for one waiter on one event loop.

    A wake-up that comes while nobody waits is kept: the next wait returns at once. So a waiter that
    looks at its store after every wait misses nothing that was committed before the wake-up.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._woken = asyncio.Event()
        self._socket: socket.socket | None = None

    async def open(self) -> None:
        """Starts to listen, in the place of one of the same name that has died."""
        self._socket = await asyncio.to_thread(self._bind)
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._take)

    async def wait(self, *, timeout_seconds: float) -> bool:
        """Waits for a wake-up since the last wait, or until the time has passed.

        Returns:
            Whether there was one.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def wake(self) -> None:
        """Wakes the waiter from within its own loop."""
        self._woken.set()

    async def close(self) -> None:
        """Stops to listen and removes the socket. Idempotent."""
        receiver, self._socket = self._socket, None
        if receiver is None:
            return
        asyncio.get_running_loop().remove_reader(receiver)
        receiver.close()
        await asyncio.to_thread((self._directory / self._name).unlink, missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _bind(self) -> socket.socket | None:
        """The socket; None, after a warning, where there can be none: then the poll must do."""
        with _address(self._directory, self._name) as address:
            if address is None:
                _warn_of_polling(self._directory)
                return None
            Path(address).unlink(missing_ok=True)
            receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            receiver.settimeout(0.0)
            try:
                receiver.bind(address)
            except OSError as error:
                receiver.close()
                _log.warning("wake_socket_failed", name=self._name, error=str(error))
                return None
        return receiver

    def _take(self) -> None:
        if self._socket is not None:
            with suppress(BlockingIOError):
                for _ in range(DATAGRAMS_PER_TURN_MAX):
                    self._socket.recv(1)
        self._woken.set()


class WakeSender:
    """Wakes whoever listens in a folder under names that match. Never waits, never raises."""

    def __init__(self, directory: Path, pattern: str) -> None:
        """Prepares to send.

        Args:
            directory: Where the sockets are.
            pattern: One name, or names by a pattern like "read-*.wake".
        """
        self._directory = directory
        self._pattern = pattern
        # Names that a pattern finds are made anew by each process, so that one which refuses is
        # dead for ever. A fixed name is bound again by the next process, perhaps just before it
        # would be removed here: that process removes the old socket itself.
        self._removes_dead = "*" in pattern
        self._failed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0.0)

    def send(self) -> None:
        """Sends one wake-up to each. A call from any thread, or after `close`, is harmless."""
        try:
            for name in self._names():
                self._send_to(name)
        except OSError as error:
            # Repeated with every commit it would fill the log, and the poll goes on without it.
            if not self._failed:
                self._failed = True
                _log.warning("wake_failed", pattern=self._pattern, error=str(error))

    def close(self) -> None:
        """Gives up the socket. Idempotent."""
        self._socket.close()

    def _names(self) -> list[str]:
        if not self._removes_dead:
            return [self._pattern]
        with os.scandir(self._directory) as entries:
            return [
                entry.name for entry in entries if fnmatch(entry.name, self._pattern)
            ]

    def _send_to(self, name: str) -> None:
        with _address(self._directory, name) as address:
            if address is None:
                return
            try:
                self._socket.sendto(b"", address)
            except BlockingIOError:
                pass  # Its buffer is full of wake-ups that it has not taken yet.
            except FileNotFoundError:
                pass  # Nobody listens yet, or no longer.
            except ConnectionRefusedError:
                if self._removes_dead:
                    with suppress(FileNotFoundError):
                        (self._directory / name).unlink()


@contextmanager
def _address(directory: Path, name: str) -> Iterator[str | None]:
    """What the system calls the socket; None where its path is too long to be called anything."""
    path = str(directory / name)
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        yield path
    elif sys.platform == "linux":
        # An open handle of the folder stands in for the path to it.
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{handle}/{name}"
        finally:
            os.close(handle)
    else:
        yield None


def _warn_of_polling(directory: Path) -> None:
    _log.warning(
        "wake_by_poll_only",
        reason="the path of the data folder is too long for a socket",
        directory=str(directory),
        path_bytes_max=SOCKET_PATH_BYTES_MAX,
    )
