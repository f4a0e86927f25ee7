"""`orderes serve`: one process, in this one."""

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import click

import projector.__main__
import read_server.__main__
import write_server.__main__
from eventcore.errors import StartFailed
from eventcore.process.lifecycle import start_failed
from eventcore.process.settings import (
    ProcessSettings,
    load_settings,
    settings_options,
)
from projector.settings import ProjectorSettings
from read_server.settings import ReadServerSettings
from write_server.settings import WriteServerSettings

S = TypeVar("S", bound=ProcessSettings)


@click.group("serve")
def serve() -> None:
    """Run one process, as a service manager would."""


@serve.command("write")
@settings_options(WriteServerSettings)
def write(**flags: object) -> None:
    """Run the write server: commands."""
    _run(WriteServerSettings, flags, write_server.__main__.run)


@serve.command("projector")
@settings_options(ProjectorSettings)
def project(**flags: object) -> None:
    """Run the projector: it keeps the read models."""
    _run(ProjectorSettings, flags, projector.__main__.run)


@serve.command("read")
@settings_options(ReadServerSettings)
def read(**flags: object) -> None:
    """Run the read server: queries."""
    _run(ReadServerSettings, flags, read_server.__main__.run)


def _run(
    settings_class: type[S], flags: Mapping[str, object], run: Callable[[S], int]
) -> None:
    try:
        settings = load_settings(settings_class, flags)
    except StartFailed as error:
        sys.exit(start_failed("serve", error))
    sys.exit(run(settings))
