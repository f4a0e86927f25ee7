"""A process as a command: its flags, its settings, its life."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from eventcore.errors import StartFailed
from eventcore.process.lifecycle import Stop, run_process, start_failed
from eventcore.process.settings import (
    ProcessSettings,
    load_settings,
    settings_options,
)

S = TypeVar("S", bound=ProcessSettings)


def process_command(
    name: str,
    settings_class: type[S],
    serve: Callable[[S, Stop], Coroutine[Any, Any, None]],
    *,
    help: str,  # noqa: A002  # As click calls it.
) -> click.Command:
    """A command that runs a process in this one, and exits with its code.

    Args:
        name: Of the process, in its log and its messages.
        settings_class: What it can be told; each field is a flag.
        serve: Its composition root, as `run_process` takes it.
        help: What the process does, for `--help`.
    """

    @settings_options(settings_class)
    def run(**flags: str | None) -> None:
        try:
            settings = load_settings(settings_class, flags)
        except StartFailed as error:
            sys.exit(start_failed(name, error))
        sys.exit(run_process(name, settings, lambda stop: serve(settings, stop)))

    return click.command(name, help=help)(run)
