"""What this program is called where it is typed, and which release it is."""

import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

DISTRIBUTION = "orderes"


def release() -> str:
    """The release that is installed."""
    return version(DISTRIBUTION)


def own_command() -> str:
    """What a person types to run this command again from the same directory.

    `orderes` where the shell would find the one that runs now; its path where it is not
    on PATH, as after `make run`, which installs into a virtual environment.
    """
    beside = Path(sys.executable).parent / DISTRIBUTION
    found = shutil.which(DISTRIBUTION)
    if found is not None and Path(found).absolute() == beside:
        return DISTRIBUTION
    relative = os.path.relpath(beside)
    return str(beside) if relative.startswith("..") else relative
