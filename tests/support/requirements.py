"""What a test needs from the machine: a visible skip here, a failure where all must run."""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = "ORDERES_REQUIRE_ALL"
"""Set to 1 (as in CI), what is missing fails a test instead of skipping it."""


def require_tool(name: str, reason: str) -> str:
    """The path of a program; without it the test is skipped, or fails.

    Args:
        name: As one would type it.
        reason: What the test needs it for.
    """
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not on the PATH: {reason}")
    return path


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it."""
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason} ({REQUIRE_ALL}=1)", pytrace=False)
    pytest.skip(reason)
