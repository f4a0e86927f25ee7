"""Calls to the disk that fail when a test says so, in a process that it starts.

A library that is preloaded into the process stands before the calls with which SQLite syncs,
writes and reads. What fails is armed through memory that test and process share.
"""

import mmap
import subprocess
from collections.abc import Mapping
from enum import IntFlag
from pathlib import Path
from struct import Struct
from typing import Self

from tests.support.requirements import require_tool

SOURCE = Path(__file__).with_suffix(".c")
VARIABLE = "ORDERES_DISK_FAULTS"
CONTROL_BYTES = 4096
NAME_BYTES_MAX = 63

_ARMED = Struct("q")
_RULE = Struct(f"qqqqq{NAME_BYTES_MAX + 1}s")
"""Operations, errno, how many go through, how many fail then, how many have failed, name."""
_FAILED = Struct("q")
_FAILED_OFFSET = 5 * _ARMED.size


class Operation(IntFlag):
    """Calls that can fail."""

    SYNC = 1
    """fsync, fdatasync."""
    WRITE = 2
    """write, pwrite."""
    READ = 4
    """read, pread."""


class DiskFaults:
    """The faults of the processes that are started with its environment."""

    def __init__(self, directory: Path) -> None:
        """Compiles the library in the directory; without a compiler the test is skipped."""
        compiler = require_tool("cc", "disk faults are injected by a library in C")
        library = directory / "disk_faults.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"],
            check=True,
        )
        control = directory / "disk_faults.control"
        control.write_bytes(bytes(CONTROL_BYTES))
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CONTROL_BYTES)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            VARIABLE: str(control),
        }
        """For a process whose disk is to fail."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()
        self._memory.close()

    def arm(
        self,
        operation: Operation,
        *,
        name: str,
        error: int,
        let_through: int = 0,
        times: int | None = None,
    ) -> None:
        """From now on calls fail, in place of what was armed before.

        Args:
            operation: Which calls.
            name: Text in the paths of the files that are meant.
            error: The errno that they fail with.
            let_through: So many succeed before the first that fails.
            times: So many fail, then all succeed; None: all fail until `disarm`.
        """
        text = name.encode()
        assert 0 < len(text) <= NAME_BYTES_MAX
        self.disarm()
        fails = -1 if times is None else times
        rule = (operation, error, let_through, fails, 0, text)
        _RULE.pack_into(self._memory, _ARMED.size, *rule)
        _ARMED.pack_into(self._memory, 0, 1)

    def disarm(self) -> None:
        """From now on every call goes through."""
        _ARMED.pack_into(self._memory, 0, 0)

    @property
    def failed(self) -> int:
        """How many calls have failed since they were armed."""
        (failed,) = _FAILED.unpack_from(self._memory, _FAILED_OFFSET)
        return int(failed)
