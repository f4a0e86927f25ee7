"""What people see of a command that is not committed yet, or never will be."""

import pytest
from click.testing import CliRunner

from cli.__main__ import main
from cli.refused import NEXT_STEPS
from orderes.v1.command_pb2 import Command, CommandStage, Lane
from orderes.v1.command_service_pb2 import (
    GetCommandRequest,
    GetCommandResponse,
    PlaceOrderRequest,
    PlaceOrderResponse,
    WaitCommandRequest,
    WaitCommandResponse,
)
from orderes.v1.errors_pb2 import CommandError, ErrorReason
from tests.cli.scripted import WIRE_ROUNDING_SECONDS, Run, ScriptedServer, words_of

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
PLACE = ("place", "--customer", "c-1", "--line", "book:2:19.99 EUR")


def a_command(stage: CommandStage.ValueType) -> Command:
    return Command(
        command_id="k-1",
        correlation_id="flow-1",
        type="PlaceOrder",
        order_id=ORDER_ID,
        stage=stage,
        lane=Lane.LANE_NORMAL,
    )


def test_a_command_that_is_only_stored_is_said_to_be_and_how_to_follow_it(
    server: ScriptedServer, run: Run
) -> None:
    accepted = a_command(CommandStage.COMMAND_STAGE_ACCEPTED)
    server.answers["PlaceOrder"] = [PlaceOrderResponse(command=accepted)]

    result = run(*PLACE, "--command-id", "k-1", "--wait-for", "accepted")

    words = words_of(result)
    assert result.exit_code == 0
    assert "stage ACCEPTED: stored; it will be executed" in words
    assert f"order command k-1 --wait --write-address {server.address}" in words
    assert "version" not in words
    assert "position" not in words


def test_what_would_happen_is_said_to_be_stored_nowhere(
    server: ScriptedServer, run: Run
) -> None:
    validated = a_command(CommandStage.COMMAND_STAGE_VALIDATED)
    validated.event_count = 1
    server.answers["PlaceOrder"] = [PlaceOrderResponse(command=validated)]

    result = run(*PLACE, "--validate-only")

    request = PlaceOrderRequest.FromString(server.requests["PlaceOrder"][0])
    assert request.options.validate_only
    assert request.command_id
    assert "VALIDATED: it would be done; nothing is stored events 1" in words_of(result)
    assert result.stderr == ""


def test_the_record_of_a_failed_command_tells_its_attempts_and_why(
    server: ScriptedServer, run: Run
) -> None:
    failed = a_command(CommandStage.COMMAND_STAGE_FAILED)
    failed.attempts = 5
    failed.accept_time.FromJsonString("2026-11-23T09:00:00Z")
    failed.error.CopyFrom(
        CommandError(
            reason=ErrorReason.ERROR_REASON_COMMAND_FAILED,
            message="the command failed by a fault of the server",
            metadata={"attempts": "5"},
        )
    )
    server.answers["GetCommand"] = [GetCommandResponse(command=failed)]

    result = run("command", "k-1")

    request = GetCommandRequest.FromString(server.requests["GetCommand"][0])
    assert request.command_id == "k-1"
    words = words_of(result)
    assert "stage FAILED: kept for an operator, who retries or discards it" in words
    assert "error COMMAND_FAILED message the command failed by a fault" in words
    assert words.count("attempts") == 1
    assert "lane normal attempts 5 accepted 2026-11-23 09:00:00 UTC" in words


def test_waiting_for_a_command_asks_the_server_to_wait(
    server: ScriptedServer, run: Run
) -> None:
    still = a_command(CommandStage.COMMAND_STAGE_ACCEPTED)
    server.answers["WaitCommand"] = [WaitCommandResponse(command=still)]

    result = run("command", "k-1", "--wait", "--max-wait-seconds", "20")

    request = WaitCommandRequest.FromString(server.requests["WaitCommand"][0])
    assert request.max_wait.ToSeconds() == 20
    assert 20 < server.seconds_left <= 25 + WIRE_ROUNDING_SECONDS
    assert "The wait is over, and it is not executed yet." in words_of(result)


def test_how_long_is_only_asked_of_who_waits() -> None:
    result = CliRunner().invoke(
        main, ["order", "command", "k-1", "--max-wait-seconds", "20"]
    )

    assert result.exit_code == 2


@pytest.mark.parametrize(
    "reason",
    [
        name.removeprefix("ERROR_REASON_")
        for name in ErrorReason.keys()  # noqa: SIM118 - It is no dict.
        if not name.endswith("UNSPECIFIED")
    ],
)
def test_every_reason_of_the_contract_has_a_next_step(reason: str) -> None:
    assert reason in NEXT_STEPS
