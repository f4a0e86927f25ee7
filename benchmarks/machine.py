"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

UNKNOWN = "unknown"
CPU_INFO = Path("/proc/cpuinfo")
LIBRARIES = ("grpcio", "protobuf", "sqlalchemy", "uvloop")


def machine() -> dict[str, str]:
    """The date, the versions and the processor, by name, as they are found."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{name: _version(name) for name in LIBRARIES},
        "CPU": f"{len(os.sched_getaffinity(0))} x {_cpu_model()}",
        "system": f"{platform.system()} {platform.release()}",
    }


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    for line in CPU_INFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return UNKNOWN
