"""What operators see and do: `orderes status`, `pause`, `resume` and `commands`."""

import json

import grpc
import pytest
from click.testing import CliRunner, Result

from cli import failed_commands, output
from cli.__main__ import main
from contexts.orders.wire import administration
from orderes.v1.command_pb2 import Command, CommandStage, Lane
from orderes.v1.errors_pb2 import CommandError, ErrorReason
from orderes.v1.write_admin_service_pb2 import (
    DiscardFailedCommandsRequest,
    DiscardFailedCommandsResponse,
    FailedCommand,
    FullPolicy,
    GetWriteStatusResponse,
    LaneStatus,
    ListFailedCommandsRequest,
    ListFailedCommandsResponse,
    PauseExecutionRequest,
    PauseExecutionResponse,
    ResumeExecutionRequest,
    ResumeExecutionResponse,
    RetryFailedCommandsRequest,
    RetryFailedCommandsResponse,
)
from tests.cli.scripted import Run, ScriptedServer, refusal, words_of

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
TERMINAL_WIDTH = 80
NO_FAILED = ListFailedCommandsResponse()


@pytest.fixture
def administer(server: ScriptedServer) -> Run:
    def run(*words: str, typed: str = "") -> Result:
        address = ("--admin-address", server.address)
        return CliRunner().invoke(main, [*words, *address], input=typed)

    return run


def a_status(*, paused: bool = False) -> GetWriteStatusResponse:
    lanes = [
        LaneStatus(
            lane=lane,
            depth=depth,
            capacity=1000,
            accepted_total=1_234_567,
            refused_total=42,
            full_policy=policy,
            holding=7,
            backlog=9_999,
            backlog_capacity=10_000,
        )
        for lane, depth, policy in (
            (Lane.LANE_CRITICAL, 0, FullPolicy.FULL_POLICY_REJECT),
            (Lane.LANE_NORMAL, 1000, FullPolicy.FULL_POLICY_OVERFLOW),
            (Lane.LANE_BULK, 12, FullPolicy.FULL_POLICY_WAIT),
        )
    ]
    lanes[1].oldest_age.FromMilliseconds(12_345)
    status = GetWriteStatusResponse(
        store_id="0190a6b2-0000-7000-8000-000000000001",
        head_position=3_703_701,
        lanes=lanes,
        backlog=29_997,
        failed=3,
        paused=paused,
        pause_reason="the disk [is] moved" if paused else "",
    )
    if paused:
        status.pause_time.FromJsonString("2026-11-23T09:00:00Z")
    return status


def a_failure(
    number: int, *, stage: int = CommandStage.COMMAND_STAGE_FAILED
) -> FailedCommand:
    failure = FailedCommand(
        command=Command(
            command_id=f"k-{number}",
            type="RecordPayment",
            order_id=ORDER_ID,
            stage=CommandStage.ValueType(stage),
            attempts=5,
            error=CommandError(
                reason=ErrorReason.ERROR_REASON_COMMAND_FAILED,
                message="the command failed by a fault of the server",
                metadata={"attempts": "5", "cause": "ZeroDivisionError"},
            ),
        ),
        request_json='{"payment_id": "p-1"}',
    )
    failure.fail_time.FromJsonString("2026-11-23T09:00:00Z")
    return failure


def pages_of(*sizes: int) -> list[ListFailedCommandsResponse]:
    """Pages of failed commands, numbered through."""
    pages = []
    number = 0
    for index, size in enumerate(sizes):
        numbers = range(number, number + size)
        pages.append(
            ListFailedCommandsResponse(
                failed_commands=[a_failure(each) for each in numbers],
                next_page_token="" if index == len(sizes) - 1 else f"t-{index + 1}",
            )
        )
        number += size
    return pages


def records(stage: int, *numbers: int) -> list[Command]:
    return [a_failure(number, stage=stage).command for number in numbers]


def test_the_status_fits_a_terminal_and_tells_what_each_lane_does(
    server: ScriptedServer, administer: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", TERMINAL_WIDTH)
    server.answers["GetWriteStatus"] = [a_status()]

    result = administer("status")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= TERMINAL_WIDTH
    rows = {line[:14].strip(): line[14:].split() for line in lines}
    assert rows["lane"] == ["critical", "normal", "bulk"]
    assert rows["when full"] == ["reject", "overflow", "wait"]
    assert rows["taken in"] == ["1,234,567"] * 3
    words = words_of(result)
    assert words.startswith("Commands are executed.")
    assert "position 3,703,701 stored, not yet executed 29,997 failed 3" in words
    assert "in the queue 0 of 1,000 1,000 of 1,000 12 of 1,000" in words
    assert "oldest 0.0 s 12.3 s 0.0 s" in words
    assert "on disk 9,999 of 10,000" in words
    assert f"commands failed --admin-address {server.address}" in words


def test_a_pause_is_told_first_with_its_time_and_its_reason(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["GetWriteStatus"] = [a_status(paused=True)]

    words = words_of(administer("status"))

    assert words.startswith(
        "Execution is paused since 2026-11-23 09:00:00 UTC: the disk [is] moved"
    )
    assert f"resume --admin-address {server.address} --reason …" in words


def test_the_help_for_operators_names_no_option_that_they_do_not_have() -> None:
    words = words_of(CliRunner().invoke(main, ["status", "--help"]))

    assert "[default: 15]" in words
    assert "--max-wait-seconds" not in words


def test_the_status_as_json_has_every_field(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["GetWriteStatus"] = [a_status()]

    answer = json.loads(administer("status", "--json").stdout)

    assert answer["paused"] is False
    assert answer["lanes"][1]["full_policy"] == "FULL_POLICY_OVERFLOW"


def test_a_pause_and_its_end_need_a_reason_and_are_confirmed(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["PauseExecution"] = [PauseExecutionResponse()]
    server.answers["ResumeExecution"] = [ResumeExecutionResponse()]

    paused = administer("pause", "--reason", "the disk is moved")
    resumed = administer("resume", "--reason", "it is there")

    pause = PauseExecutionRequest.FromString(server.requests["PauseExecution"][0])
    resume = ResumeExecutionRequest.FromString(server.requests["ResumeExecution"][0])
    assert (pause.reason, resume.reason) == ("the disk is moved", "it is there")
    assert "Execution is paused: the disk is moved" in words_of(paused)
    assert f"resume --admin-address {server.address} --reason …" in words_of(paused)
    assert words_of(resumed).startswith("Commands are executed.")
    assert f"status --admin-address {server.address}" in words_of(resumed)
    assert administer("pause").exit_code == 2
    assert administer("resume").exit_code == 2


def test_failed_commands_are_told_with_the_cause(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["ListFailedCommands"] = [*pages_of(2, 1)]

    words = words_of(administer("commands", "failed", "--page-size", "2"))

    request = ListFailedCommandsRequest.FromString(
        server.requests["ListFailedCommands"][0]
    )
    assert request.page_size == 2
    assert f"RecordPayment k-0 order {ORDER_ID} why ZeroDivisionError" in words
    assert "attempts 5 given up 2026-11-23 09:00:00 UTC" in words
    assert "k-2" not in words
    assert "There is more: --page-token t-1" in words


def test_every_page_of_failed_commands_is_one_answer(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["ListFailedCommands"] = [*pages_of(2, 1)]

    result = administer("commands", "failed", "--all", "--json")

    answer = json.loads(result.stdout)
    assert [
        failure["command"]["command_id"] for failure in answer["failed_commands"]
    ] == [
        "k-0",
        "k-1",
        "k-2",
    ]
    assert answer["failed_commands"][0]["request_json"] == '{"payment_id": "p-1"}'
    assert answer["next_page_token"] == ""
    tokens = [
        ListFailedCommandsRequest.FromString(request).page_token
        for request in server.requests["ListFailedCommands"]
    ]
    assert tokens == ["", "t-1"]


def test_where_nothing_failed_it_is_said(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["ListFailedCommands"] = [NO_FAILED]

    retried = administer("commands", "retry", "--all", "--reason", "mended")

    assert words_of(administer("commands", "failed")) == "No failed commands."
    assert words_of(retried) == "No failed commands."


def test_named_commands_are_retried_and_each_is_told(
    server: ScriptedServer, administer: Run
) -> None:
    changed = [
        *records(CommandStage.COMMAND_STAGE_ACCEPTED, 1),
        *records(CommandStage.COMMAND_STAGE_COMMITTED, 2),
    ]
    server.answers["RetryFailedCommands"] = [
        RetryFailedCommandsResponse(commands=changed)
    ]

    result = administer("commands", "retry", "k-1", "k-2", "k-1", "--reason", "mended")

    request = RetryFailedCommandsRequest.FromString(
        server.requests["RetryFailedCommands"][0]
    )
    assert (list(request.command_ids), request.reason) == (["k-1", "k-2"], "mended")
    words = words_of(result)
    assert "k-1 RecordPayment ACCEPTED k-2 RecordPayment COMMITTED" in words
    assert words.endswith(
        "1 command will be executed again. 1 command left alone: not failed."
    )


def test_all_are_found_first_and_then_sent_as_many_at_once_as_a_call_may_have(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["ListFailedCommands"] = [*pages_of(100, 50)]
    server.answers["RetryFailedCommands"] = [
        RetryFailedCommandsResponse(
            commands=records(CommandStage.COMMAND_STAGE_ACCEPTED, *range(100))
        ),
        RetryFailedCommandsResponse(
            commands=records(CommandStage.COMMAND_STAGE_ACCEPTED, *range(100, 150))
        ),
    ]

    result = administer("commands", "retry", "--all", "--reason", "mended")

    sent = [
        list(RetryFailedCommandsRequest.FromString(request).command_ids)
        for request in server.requests["RetryFailedCommands"]
    ]
    assert [len(ids) for ids in sent] == [100, 50]
    assert sent[0] + sent[1] == [f"k-{number}" for number in range(150)]
    assert "150 commands will be executed again." in words_of(result)
    assert "100 of 150 done" in result.stderr


def test_a_call_has_no_more_ids_and_asks_for_no_more_than_the_server_allows() -> None:
    assert failed_commands.IDS_MAX == administration.COMMAND_IDS_MAX
    assert failed_commands.PAGE_SIZE_MAX == administration.PAGE_SIZE_MAX


def test_what_was_done_before_a_refusal_is_shown(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["ListFailedCommands"] = [*pages_of(101)]
    server.answers["RetryFailedCommands"] = [
        RetryFailedCommandsResponse(
            commands=records(CommandStage.COMMAND_STAGE_ACCEPTED, *range(100))
        ),
        refusal(
            grpc.StatusCode.NOT_FOUND, "no such command", reason="COMMAND_NOT_FOUND"
        ),
    ]

    result = administer("commands", "retry", "--all", "--reason", "mended")

    assert result.exit_code == 1
    assert "100 commands will be executed again." in " ".join(result.stdout.split())
    assert "nothing was changed" in result.stderr


def test_giving_all_up_asks_first(server: ScriptedServer, administer: Run) -> None:
    server.answers["ListFailedCommands"] = [*pages_of(2)]
    server.answers["DiscardFailedCommands"] = [
        DiscardFailedCommandsResponse(
            commands=records(CommandStage.COMMAND_STAGE_DISCARDED, 0, 1)
        )
    ]
    words = ("commands", "discard", "--all", "--reason", "too old")

    declined = administer(*words, typed="n\n")
    assert declined.exit_code == 1
    assert "Give up 2 commands for good?" in declined.stderr
    assert not server.requests["DiscardFailedCommands"]

    assert administer(*words, typed="y\n").exit_code == 0
    sure = administer(*words, "--yes")

    assert "2 commands given up for good." in words_of(sure)
    requests = [
        DiscardFailedCommandsRequest.FromString(request)
        for request in server.requests["DiscardFailedCommands"]
    ]
    assert [list(request.command_ids) for request in requests] == [["k-0", "k-1"]] * 2
    assert requests[0].reason == "too old"


def test_a_change_as_json_is_one_answer(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["DiscardFailedCommands"] = [
        DiscardFailedCommandsResponse(
            commands=records(CommandStage.COMMAND_STAGE_DISCARDED, 1)
        )
    ]

    result = administer("commands", "discard", "k-1", "--reason", "old", "--json")

    (command,) = json.loads(result.stdout)["commands"]
    assert command["stage"] == "COMMAND_STAGE_DISCARDED"


@pytest.mark.parametrize(
    "words",
    [
        ["retry", "--reason", "mended"],
        ["retry", "k-1", "--all", "--reason", "mended"],
        ["discard", "--reason", "old"],
        ["retry", "k-1"],
    ],
)
def test_a_change_needs_commands_or_all_of_them_and_a_reason(words: list[str]) -> None:
    result = CliRunner().invoke(main, ["commands", *words])

    assert result.exit_code == 2


def test_a_refusal_of_the_port_for_operators_names_its_flags(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["PauseExecution"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields: reason",
            reason="INVALID_FIELDS",
            fields={"reason": "must be 1 to 500 characters"},
        )
    ]

    result = administer("pause", "--reason", "")

    assert result.exit_code == 1
    assert "--reason reason must be 1 to 500 characters" in " ".join(
        result.stderr.split()
    )


def test_where_a_client_port_is_named_it_is_said_how_to_name_the_right_one(
    server: ScriptedServer, administer: Run
) -> None:
    server.answers["PlaceOrder"] = []

    result = administer("status")

    assert result.exit_code == 1
    assert f"what listens at {server.address} is another service" in " ".join(
        result.stderr.split()
    )
    assert "--admin-address" in result.stderr
