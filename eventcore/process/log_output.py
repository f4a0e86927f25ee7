"""Where log lines go: to a file descriptor, from a thread of its own.

Whoever reads them may stall: a terminal held with Ctrl-S, a pager, a log shipper that is stuck. A
write to its pipe then blocks, and if the event loop did it, the whole process would stand still and
not even hear SIGTERM. So the lines wait in a bounded queue, and what finds it full is dropped and
counted.
"""

import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

LINES_MAX = 20_000
"""Lines that wait for a reader. At 400 bytes each they hold 8 MB."""

LINES_PER_WRITE_MAX = 500
"""Lines that one system call writes."""


class LogOutput:
    """A stream that takes a line without ever waiting."""

    def __init__(self, fd: int, *, on_dropped: Callable[[int], None]) -> None:
        """Starts to write.

        Args:
            fd: Where to.
            on_dropped: Called, from the thread that writes, with how many lines were lost since
                the last time, once there is room again to say so.
        """
        self._fd = fd
        self._on_dropped = on_dropped
        self._dropped = 0
        self._lines: queue.Queue[bytes] = queue.Queue(LINES_MAX)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Takes a line, or drops it."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Nothing: a line is on its way as soon as it is taken."""

    def drain(self, *, seconds_max: float) -> None:
        """Waits until what was taken is written, but no longer than that."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(
                lambda: not self._lines.unfinished_tasks, seconds_max
            )

    def _run(self) -> None:
        while True:
            lines = [self._lines.get()]
            with suppress(queue.Empty):
                while len(lines) < LINES_PER_WRITE_MAX:
                    lines.append(self._lines.get_nowait())
            # A reader that is gone is no reason to fail: what is said then is lost, and no more.
            with suppress(OSError):
                self._write(b"".join(lines))
            for _ in lines:
                self._lines.task_done()
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._on_dropped(dropped)

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
