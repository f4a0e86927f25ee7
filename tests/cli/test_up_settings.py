"""`orderes up` takes every setting of the three processes, and checks them together."""

import socket

import pytest
from click.testing import CliRunner

from cli.__main__ import main
from cli.up_settings import PROCESSES, flags_of, load_up_settings
from eventcore.errors import StartFailed
from eventcore.process.settings import flag_of
from tests.support.processes import free_address


def addresses() -> dict[str, object]:
    return {name: free_address() for process in PROCESSES for name in process.addresses}


def test_each_process_gets_the_settings_that_it_has_and_no_others() -> None:
    flags = addresses()
    given = {"queue_capacity": "7", "data_dir": "d"}
    policies = {"full_policy": "overflow", "full_policy_bulk": "wait"}
    settings = load_up_settings({**flags, **given, **policies})

    write, projector, read = (flags_of(settings, process) for process in PROCESSES)

    assert "--queue-capacity=7" in write
    assert {"--full-policy=overflow", "--full-policy-bulk=wait"} <= set(write)
    assert not [flag for flag in write if flag.startswith("--full-policy-critical")]
    assert f"--write-admin-address={flags['write_admin_address']}" in write
    assert f"--write-address={flags['write_address']}" in write
    assert f"--read-address={flags['read_address']}" in read
    assert {"--data-dir=d", "--log-format=console"} <= set(projector)
    assert not [flag for flag in (*projector, *read) if "queue" in flag]
    assert not [flag for flag in (*write, *projector, *read) if "supervisor" in flag]


def test_the_log_is_for_people_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_up_settings(addresses()).log_format == "console"

    monkeypatch.setenv("ORDERES_LOG_FORMAT", "json")

    assert load_up_settings(addresses()).log_format == "json"


def test_faults_of_all_three_are_reported_at_once() -> None:
    with pytest.raises(StartFailed) as failed:
        load_up_settings(
            {
                "queue_capacity": "0",
                "projection_poll_seconds": "soon",
                "read_connections": "1000",
            }
        )

    for name in ("queue_capacity", "projection_poll_seconds", "read_connections"):
        assert failed.value.message.count(flag_of(name)) == 1


def test_two_listeners_cannot_share_an_address() -> None:
    shared = free_address()
    given = {**addresses(), "write_address": shared, "read_metrics_address": shared}

    with pytest.raises(StartFailed) as failed:
        load_up_settings(given)

    lines = failed.value.message.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "--write-address",
        "--read-metrics-address",
    ]
    assert lines[1].endswith(f"{shared} is given to more than one listener")


def test_a_port_must_be_named_under_a_supervisor() -> None:
    with pytest.raises(StartFailed, match="leaves the port open"):
        load_up_settings({**addresses(), "read_address": "127.0.0.1:0"})


def test_an_address_that_is_taken_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(StartFailed, match=f"{taken} is in use"):
            load_up_settings({**addresses(), "projector_address": taken})


def test_what_only_a_supervisor_gives_is_not_taken() -> None:
    result = CliRunner().invoke(main, ["up", "--supervisor-fd", "3"])

    assert result.exit_code == 2
    assert "No such option '--supervisor-fd'" in result.stderr
