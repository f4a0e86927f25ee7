"""`python -m projector`: the projector in this process."""

import sys
from collections.abc import Mapping

import click

from eventcore.errors import StartFailed
from eventcore.process.lifecycle import run_process, start_failed
from eventcore.process.settings import load_settings, settings_options
from projector.bootstrap import serve
from projector.settings import ProjectorSettings

NAME = "projector"


def run(settings: ProjectorSettings) -> int:
    """Runs the process to its end and returns its exit code."""
    return run_process(NAME, settings, lambda stop: serve(settings, stop))


def start(flags: Mapping[str, object]) -> int:
    """Runs the process with the settings that flags and environment give; its exit code."""
    try:
        settings = load_settings(ProjectorSettings, flags)
    except StartFailed as error:
        return start_failed(NAME, error)
    return run(settings)


@click.command()
@settings_options(ProjectorSettings)
def main(**flags: str | None) -> None:
    """Keeps the read models at the end of the log."""
    sys.exit(start(flags))


if __name__ == "__main__":
    main()
