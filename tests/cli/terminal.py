"""The command on a terminal, as a person has it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

COLUMNS = 80
ROWS = 50
SECONDS_MAX = 30.0

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CHUNK_BYTES = 65_536


def run_on_terminal(*words: str) -> tuple[int, str]:
    """Runs `orderes` on a terminal of 80 columns; the exit code and all it has shown.

    Colours and movements of the cursor are left out: what is drawn over is there as well.
    """
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        stdin=end,
        stdout=end,
        stderr=end,
        env={**environment, "TERM": "xterm-256color"},
    ) as process:
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, _CHUNK_BYTES):
                shown += chunk
        except OSError:  # Its other end is closed: the process has ended.
            pass
        finally:
            os.close(terminal)
        code = process.wait(SECONDS_MAX)
    return code, _CONTROL.sub("", shown.decode())


def widest(shown: str) -> int:
    """Columns of the widest line that was shown."""
    return max(map(len, re.split(r"[\r\n]+", shown)))
