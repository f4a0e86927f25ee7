"""`python -m read_server`: the read server in this process."""

import sys
from collections.abc import Mapping

import click

from eventcore.errors import StartFailed
from eventcore.process.lifecycle import run_process, start_failed
from eventcore.process.settings import load_settings, settings_options
from read_server.bootstrap import serve
from read_server.settings import ReadServerSettings

NAME = "read_server"


def run(settings: ReadServerSettings) -> int:
    """Runs the process to its end and returns its exit code."""
    return run_process(NAME, settings, lambda stop: serve(settings, stop))


def start(flags: Mapping[str, object]) -> int:
    """Runs the process with the settings that flags and environment give; its exit code."""
    try:
        settings = load_settings(ReadServerSettings, flags)
    except StartFailed as error:
        return start_failed(NAME, error)
    return run(settings)


@click.command()
@settings_options(ReadServerSettings)
def main(**flags: str | None) -> None:
    """Answers queries from the read models."""
    sys.exit(start(flags))


if __name__ == "__main__":
    main()
