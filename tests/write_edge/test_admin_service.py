"""The WriteAdminService: what operators ask for, and what they get to see."""

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.write.admin_service import SERVICE
from eventcore.errors import StoreUnavailable
from eventcore.messages import Lane
from eventcore.operators import Pause
from eventcore.write_administration import FullPolicy, LaneStatus, WriteStatus
from orderes.v1 import command_pb2, errors_pb2
from orderes.v1 import write_admin_service_pb2 as pb2
from tests.support.rpc import failure_of
from tests.write_edge.administration import (
    STORE_ID,
    ScriptedAdministration,
    administered,
    failed_commands,
)

CHANGES = {
    "PauseExecution": pb2.PauseExecutionRequest,
    "ResumeExecution": pb2.ResumeExecutionRequest,
    "RetryFailedCommands": pb2.RetryFailedCommandsRequest,
    "DiscardFailedCommands": pb2.DiscardFailedCommandsRequest,
}
DECISIONS = ["RetryFailedCommands", "DiscardFailedCommands"]


def lane_status(lane: Lane, policy: FullPolicy) -> LaneStatus:
    return LaneStatus(
        lane=lane,
        full_policy=policy,
        depth=1,
        capacity=2,
        holding=3,
        backlog=4,
        backlog_capacity=5,
        oldest_age_seconds=1.25,
        accepted_total=6,
        refused_total=7,
    )


def status(pause: Pause | None = None) -> WriteStatus:
    policies = zip(Lane, FullPolicy, strict=True)
    return WriteStatus(
        store_id=STORE_ID,
        head_position=42,
        lanes=[lane_status(lane, policy) for lane, policy in policies],
        pause=pause,
        backlog=8,
        failed=9,
    )


async def ask(stub: Any, name: str, **fields: Any) -> Any:
    request = getattr(pb2, f"{name}Request")
    return await getattr(stub, name)(request(**fields))


async def pages_of(
    administration: ScriptedAdministration, page_size: int
) -> list[list[str]]:
    """The ids on each page of the list."""
    pages: list[list[str]] = []
    token = ""
    async with administered(administration) as stub:
        while token or not pages:
            answer = await ask(
                stub, "ListFailedCommands", page_size=page_size, page_token=token
            )
            pages.append([each.command.command_id for each in answer.failed_commands])
            token = answer.next_page_token
    return pages


# How the write side is.


async def test_the_status_is_that_of_every_lane() -> None:
    async with administered(ScriptedAdministration(status())) as stub:
        answer = await ask(stub, "GetWriteStatus")
    first, *_ = answer.lanes
    assert first == pb2.LaneStatus(
        lane=command_pb2.LANE_CRITICAL,
        depth=1,
        capacity=2,
        oldest_age=Duration(seconds=1, nanos=250_000_000),
        accepted_total=6,
        refused_total=7,
        full_policy=pb2.FULL_POLICY_REJECT,
        holding=3,
        backlog=4,
        backlog_capacity=5,
    )
    assert [lane.lane for lane in answer.lanes] == [1, 2, 3]
    assert [lane.full_policy for lane in answer.lanes] == [1, 2, 3]
    assert (answer.store_id, answer.head_position) == (STORE_ID, 42)
    assert (answer.backlog, answer.failed) == (8, 9)
    assert not answer.paused
    assert answer.pause_reason == ""
    assert not answer.HasField("pause_time")


async def test_a_pause_is_shown_with_its_reason_and_since_when() -> None:
    pause = Pause(reason="a test", time=1_790_000_000_000_001)
    async with administered(ScriptedAdministration(status(pause))) as stub:
        answer = await ask(stub, "GetWriteStatus")
    assert (answer.paused, answer.pause_reason) == (True, "a test")
    assert answer.pause_time == Timestamp(seconds=1_790_000_000, nanos=1000)


async def test_a_store_that_is_away_is_unavailable() -> None:
    administration = ScriptedAdministration(error=StoreUnavailable())
    async with administered(administration) as stub:
        answer = await failure_of(ask(stub, "GetWriteStatus"))
        assert answer.reason == "STORE_UNAVAILABLE"
        answer = await failure_of(ask(stub, "PauseExecution", reason="a test"))
        assert answer.code is grpc.StatusCode.UNAVAILABLE


# What they change.


@pytest.mark.parametrize(
    ("name", "told"), [("PauseExecution", "pause"), ("ResumeExecution", "resume")]
)
async def test_execution_is_paused_and_resumed_with_a_reason(
    name: str, told: str
) -> None:
    administration = ScriptedAdministration()
    async with administered(administration) as stub:
        await ask(stub, name, reason="a test")
    assert administration.told == [(told, "a test")]
    (operator,) = administration.operators
    assert operator.address.startswith("ipv4:127.0.0.1:")
    assert operator.correlation_id


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("reason", ["", "x" * 501, "a\nb"])
async def test_every_change_needs_a_reason_of_at_most_500_characters(
    name: str, reason: str
) -> None:
    administration = ScriptedAdministration()
    fields: dict[str, Any] = {"command_ids": ["c1"]} if name in DECISIONS else {}
    async with administered(administration) as stub:
        answer = await failure_of(ask(stub, name, reason=reason, **fields))
    assert list(answer.violations) == ["reason"]
    assert administration.told == []


async def test_failed_commands_are_retried_in_the_order_asked_for() -> None:
    administration = ScriptedAdministration(commands=failed_commands(3))
    async with administered(administration) as stub:
        answer = await ask(
            stub, "RetryFailedCommands", command_ids=["c1", "c3"], reason="mended"
        )
    assert administration.told == [("retry", "mended", "c1", "c3")]
    assert [(each.command_id, each.stage) for each in answer.commands] == [
        ("c1", command_pb2.COMMAND_STAGE_ACCEPTED),
        ("c3", command_pb2.COMMAND_STAGE_ACCEPTED),
    ]
    assert answer.commands[0].store_id == STORE_ID


async def test_failed_commands_are_discarded() -> None:
    administration = ScriptedAdministration(commands=failed_commands(3))
    async with administered(administration) as stub:
        answer = await ask(
            stub, "DiscardFailedCommands", command_ids=["c2"], reason="of no use"
        )
    assert administration.told == [("discard", "of no use", "c2")]
    (command,) = answer.commands
    assert command.stage == command_pb2.COMMAND_STAGE_DISCARDED


@pytest.mark.parametrize("name", DECISIONS)
async def test_a_command_that_is_not_stored_is_not_found(name: str) -> None:
    async with administered(ScriptedAdministration()) as stub:
        answer = await failure_of(ask(stub, name, command_ids=["c1"], reason="why"))
    assert answer.reason == "COMMAND_NOT_FOUND"


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize("count", [0, 101])
async def test_1_to_100_commands_are_named_at_once(name: str, count: int) -> None:
    command_ids = [f"c{number}" for number in range(count)]
    async with administered(ScriptedAdministration()) as stub:
        answer = await failure_of(ask(stub, name, command_ids=command_ids))
    assert list(answer.violations) == ["command_ids", "reason"]


@pytest.mark.parametrize("name", DECISIONS)
async def test_every_wrong_id_is_named(name: str) -> None:
    command_ids = ["c1", "a b", "c1", "", "c2", ""]
    async with administered(ScriptedAdministration()) as stub:
        answer = await failure_of(
            ask(stub, name, command_ids=command_ids, reason="why")
        )
    assert sorted(answer.violations) == [
        "command_ids[1]",
        "command_ids[2]",
        "command_ids[3]",
        "command_ids[5]",
    ]
    assert "command_ids[0] again" in answer.violations["command_ids[2]"]


# What has failed.


async def test_a_failed_command_is_shown_with_its_request_and_its_cause() -> None:
    administration = ScriptedAdministration(commands=failed_commands(1))
    async with administered(administration) as stub:
        (failed,) = (await ask(stub, "ListFailedCommands")).failed_commands
    assert failed.command.stage == command_pb2.COMMAND_STAGE_FAILED
    assert failed.command.error.reason == errors_pb2.ERROR_REASON_COMMAND_FAILED
    assert failed.command.error.metadata["cause"] == "ZeroDivisionError"
    assert failed.request_json == '{"of":"c1"}'
    assert failed.fail_time == failed.command.complete_time == Timestamp(seconds=1)


@pytest.mark.parametrize("page_size", [1, 2, 5, 10, 11])
async def test_the_pages_of_the_list_are_the_list(page_size: int) -> None:
    administration = ScriptedAdministration(commands=failed_commands(10))
    pages = await pages_of(administration, page_size)
    ids = [f"c{number}" for number in range(10, 0, -1)]
    assert [command_id for page in pages for command_id in page] == ids
    assert {len(page) for page in pages[:-1]} <= {page_size}
    assert pages[-1] != []


async def test_a_page_ends_before_it_is_too_long_for_a_client() -> None:
    commands = failed_commands(5, padding=1_200_000)
    pages = await pages_of(ScriptedAdministration(commands=commands), 5)
    assert pages == [["c5", "c4"], ["c3", "c2"], ["c1"]]


@pytest.mark.parametrize(("asked", "limit"), [(0, 51), (500, 501), (501, 501)])
async def test_a_page_has_50_commands_unless_asked_and_500_at_most(
    asked: int, limit: int
) -> None:
    administration = ScriptedAdministration()
    async with administered(administration) as stub:
        await ask(stub, "ListFailedCommands", page_size=asked)
    assert administration.limits == [limit]


async def test_a_wrong_page_is_named_field_by_field() -> None:
    async with administered(ScriptedAdministration()) as stub:
        answer = await failure_of(
            ask(stub, "ListFailedCommands", page_size=-1, page_token="x")
        )
    assert sorted(answer.violations) == ["page_size", "page_token"]


async def test_a_page_token_is_of_one_store() -> None:
    administration = ScriptedAdministration(commands=failed_commands(2))
    async with administered(administration) as stub:
        answer = await ask(stub, "ListFailedCommands", page_size=1)
        administration.store_id = "another"
        failure = await failure_of(
            ask(stub, "ListFailedCommands", page_token=answer.next_page_token)
        )
    assert list(failure.violations) == ["page_token"]


# Every method.


@pytest.mark.parametrize("name", [method.name for method in SERVICE.methods])
async def test_wrong_metadata_is_named_by_every_method(name: str) -> None:
    async with administered(ScriptedAdministration()) as stub:
        method = getattr(stub, name)
        call = method(
            getattr(pb2, f"{name}Request")(), metadata=[("x-causation-id", "")]
        )
        answer = await failure_of(call)
    assert next(iter(answer.violations)) == "x-causation-id"
