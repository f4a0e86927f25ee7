"""The `orderes` command against a scripted server."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from cli.__main__ import main
from tests.cli.scripted import Run, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def run(server: ScriptedServer) -> Run:
    def run_order(*words: str) -> Result:
        addresses = [
            "--write-address",
            server.address,
            "--read-address",
            server.address,
        ]
        return CliRunner().invoke(main, ["order", *addresses, *words])

    return run_order


@pytest.fixture
def project(server: ScriptedServer) -> Run:
    def run_projections(*words: str) -> Result:
        address = ("--projector-address", server.address)
        return CliRunner().invoke(main, ["projections", *words, *address])

    return run_projections
