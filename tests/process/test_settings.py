"""Settings: where they come from, and how wrong ones are reported."""

import re
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, ValidationError

from eventcore.errors import StartFailed
from eventcore.process.settings import (
    Address,
    ProcessSettings,
    load_settings,
    settings_options,
)


class PortSettings(ProcessSettings):
    port_address: Address = Field(
        default="127.0.0.1:50051", description="Where it listens."
    )
    port_capacity: int = Field(
        default=1000, ge=1, le=100_000, description="How much it holds."
    )
    port_capacity_bulk: int | None = Field(
        default=None, ge=1, description="For bulk; else the same."
    )


class OtherSettings(ProcessSettings):
    other_seconds: float = Field(default=1.0, gt=0, description="How often it looks.")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings_class in (PortSettings, OtherSettings):
        for name in settings_class.model_fields:
            monkeypatch.delenv(f"ORDERES_{name.upper()}", raising=False)


def faults(flags: Mapping[str, object]) -> list[str]:
    with pytest.raises(StartFailed) as failed:
        load_settings(PortSettings, flags)
    first, *lines = failed.value.message.splitlines()
    assert first == "wrong settings"
    return [line.strip() for line in lines]


def test_without_flags_and_environment_the_defaults_stand() -> None:
    settings = load_settings(PortSettings, {})
    assert settings == PortSettings()
    assert (settings.data_dir, settings.port_capacity) == (Path("data"), 1000)


def test_flags_stand_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERES_PORT_CAPACITY", "5")
    monkeypatch.setenv("ORDERES_DATA_DIR", "/srv/orders")
    settings = load_settings(PortSettings, {"port_capacity": "7", "data_dir": None})
    assert (settings.port_capacity, settings.data_dir) == (7, Path("/srv/orders"))


def test_an_empty_variable_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERES_PORT_CAPACITY", "")
    assert load_settings(PortSettings, {}).port_capacity == 1000


def test_flags_of_other_processes_are_left_to_them() -> None:
    assert load_settings(PortSettings, {"other_seconds": "-1"}) == PortSettings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        PortSettings().port_capacity = 5


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERES_LOG_LEVEL", "loud")
    given = {
        "port_capacity": "0",
        "port_capacity_bulk": "many",
        "port_address": "localhost",
        "shutdown_grace_seconds": "301",
    }
    assert sorted(faults(given)) == [
        (
            "--log-level (ORDERES_LOG_LEVEL): is loud, "
            "must be 'debug', 'info', 'warning' or 'error'"
        ),
        (
            "--port-address (ORDERES_PORT_ADDRESS): is localhost, "
            "must be host:port with a port of 0 to 65535, like 127.0.0.1:50051"
        ),
        "--port-capacity (ORDERES_PORT_CAPACITY): is 0, must be at least 1",
        "--port-capacity-bulk (ORDERES_PORT_CAPACITY_BULK): is many, must be a whole number",
        (
            "--shutdown-grace-seconds (ORDERES_SHUTDOWN_GRACE_SECONDS): is 301, "
            "must be at most 300"
        ),
    ]


@pytest.mark.parametrize("value", ["1.5", "1e3x", "\u0661x", "9" * 5000])
def test_what_is_not_a_whole_number_says_so(value: str) -> None:
    (line,) = faults({"port_capacity": value})
    assert line.endswith("must be a whole number")
    assert len(line) < 250


@pytest.mark.parametrize("value", ["nan", "inf", "soon"])
def test_what_is_not_a_number_is_a_fault(value: str) -> None:
    (line,) = faults({"shutdown_grace_seconds": value})
    assert line.startswith("--shutdown-grace-seconds")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:0", "localhost:65535", "[::1]:50051", "0.0.0.0:1", "db-1.local:9"],
)
def test_addresses_are_host_and_port(address: str) -> None:
    assert (
        load_settings(PortSettings, {"port_address": address}).port_address == address
    )


def command_over(*classes: type[ProcessSettings]) -> click.Command:
    @click.command()
    @settings_options(*classes)
    def show(**flags: str | None) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        click.echo(f"{len(flags)} {sorted(given.items())}")

    return show


def test_every_field_is_a_flag_that_is_none_unless_given() -> None:
    command = command_over(PortSettings)
    count = len(PortSettings.model_fields)
    assert CliRunner().invoke(command, []).output == f"{count} []\n"
    given = CliRunner().invoke(
        command, ["--port-capacity", "x", "--supervisor-fd", "7"]
    )
    assert given.output == (
        f"{count} [('port_capacity', 'x'), ('supervisor_fd', '7')]\n"
    )


def test_the_help_tells_meaning_form_variable_and_default() -> None:
    output = (
        CliRunner()
        .invoke(command_over(PortSettings), ["--help"], terminal_width=200)
        .output
    )
    text = re.sub(r"\s+", " ", output)
    assert (
        "--port-address HOST:PORT Where it listens. "
        "[env: ORDERES_PORT_ADDRESS; default: 127.0.0.1:50051]"
    ) in text
    assert "--port-capacity INTEGER How much it holds." in text
    assert "--port-capacity-bulk INTEGER For bulk; else the same. [env:" in text
    assert "--data-dir PATH" in text
    assert "--shutdown-grace-seconds NUMBER" in text
    assert "--log-level [debug|info|warning|error]" in text
    assert "supervisor" not in text


def test_fields_that_processes_share_are_one_flag() -> None:
    command = command_over(PortSettings, OtherSettings)
    names = [parameter.name for parameter in command.params]
    assert len(names) == len(set(names))
    assert {"port_capacity", "other_seconds", "data_dir"} <= set(names)
