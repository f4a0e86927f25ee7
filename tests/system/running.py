"""`orderes up` under test, and the `orderes` command against it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import StartedProcess, free_address, start_module

ADDRESSES = (
    "write-address",
    "write-admin-address",
    "write-metrics-address",
    "projector-address",
    "projector-metrics-address",
    "read-address",
    "read-metrics-address",
)
SERVES = "Ctrl-C stops it"
"""In the last line of the banner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A running `orderes up`."""

    process: StartedProcess
    addresses: dict[str, str]
    data_dir: Path

    @property
    def flags(self) -> list[str]:
        """What another `orderes up` is given to be the same."""
        flags = [f"--{name}={address}" for name, address in self.addresses.items()]
        return [*flags, f"--data-dir={self.data_dir}"]

    @property
    def ports(self) -> list[int]:
        return [int(address.rpartition(":")[2]) for address in self.addresses.values()]

    def order(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `orderes order …` against it."""
        write, read = self.addresses["write-address"], self.addresses["read-address"]
        where = ("--write-address", write, "--read-address", read)
        return _run("order", *where, *words)

    def operate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command for operators against it, as in `orderes status`."""
        settings = {**self.addresses, "data-dir": str(self.data_dir)}
        variables = {
            f"ORDERES_{name.replace('-', '_').upper()}": value
            for name, value in settings.items()
        }
        return _run(*words, variables=variables)

    def answer(self, *words: str) -> dict[str, Any]:
        """The answer to `orderes order … --json`."""
        result = self.order(*words, "--json")
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer


def _run(
    *words: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@contextmanager
def running_up(
    directory: Path, *flags: str, addresses: dict[str, str] | None = None
) -> Iterator[Up]:
    """`orderes up` with data and, unless they are given, ports of its own."""
    addresses = addresses or {name: free_address() for name in ADDRESSES}
    data_dir = directory / "data"
    given = [f"--{name}={address}" for name, address in addresses.items()]
    with start_module("cli", "up", *given, f"--data-dir={data_dir}", *flags) as process:
        process.wait_for_line(SERVES)
        yield Up(process=process, addresses=addresses, data_dir=data_dir)
