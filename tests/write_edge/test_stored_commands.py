"""GetCommand and WaitCommand: what is stored of a command, whatever became of it."""

from typing import Any

import grpc
import pytest

from eventcore.errors import StoreUnavailable
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    Fingerprint,
    Lane,
    StreamId,
    Trace,
)
from orderes.v1 import command_pb2, errors_pb2
from orderes.v1.command_service_pb2 import GetCommandRequest, WaitCommandRequest
from tests.orders.examples import ORDER_ID
from tests.support.rpc import failure_of
from tests.write_edge.gateway import Edge, ScriptedGateway, edge, record_of

STORED = (
    CommandStage.ACCEPTED,
    CommandStage.COMMITTED,
    CommandStage.REFUSED,
    CommandStage.FAILED,
    CommandStage.DISCARDED,
)


def stored(stage: CommandStage) -> CommandRecord:
    envelope = CommandEnvelope(
        command_id="c1",
        type="RecordPayment",
        stream=StreamId("order", ORDER_ID),
        command=None,
        fingerprint=Fingerprint(version=1, digest=b""),
        trace=Trace(correlation_id="flow-1"),
        lane=Lane.CRITICAL,
    )
    return record_of(envelope, stage)


def holding(stage: CommandStage = CommandStage.COMMITTED) -> ScriptedGateway:
    return ScriptedGateway(records={"c1": stored(stage)})


async def get(running: Edge, command_id: str = "c1") -> Any:
    return await running.stub.GetCommand(GetCommandRequest(command_id=command_id))


async def wait(
    running: Edge,
    command_id: str = "c1",
    *,
    timeout: float | None = None,  # noqa: ASYNC109 (the deadline of the call)
    **fields: Any,
) -> Any:
    request = WaitCommandRequest(command_id=command_id, **fields)
    return await running.stub.WaitCommand(request, timeout=timeout)


@pytest.mark.parametrize("ask", [get, wait])
@pytest.mark.parametrize("stage", STORED)
async def test_the_record_of_a_command_is_the_answer_whatever_its_stage(
    ask: Any, stage: CommandStage
) -> None:
    async with edge(holding(stage)) as running:
        command = (await ask(running)).command
    assert command.command_id == "c1"
    assert command_pb2.CommandStage.Name(command.stage) == f"COMMAND_STAGE_{stage.name}"
    assert command.HasField("error") == (
        stage in {CommandStage.REFUSED, CommandStage.FAILED, CommandStage.DISCARDED}
    )
    assert not command.deduplicated


@pytest.mark.parametrize("ask", [get, wait])
async def test_the_cause_of_a_failure_is_not_for_clients(ask: Any) -> None:
    async with edge(holding(CommandStage.FAILED)) as running:
        error = (await ask(running)).command.error
    assert error.reason == errors_pb2.ERROR_REASON_COMMAND_FAILED
    assert dict(error.metadata) == {"attempts": "5"}


@pytest.mark.parametrize("ask", [get, wait])
async def test_a_command_that_is_not_stored_is_not_found(ask: Any) -> None:
    async with edge() as running:
        answer = await failure_of(ask(running))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "COMMAND_NOT_FOUND",
    )
    assert answer.metadata["command_id"] == "c1"


@pytest.mark.parametrize("ask", [get, wait])
async def test_a_store_that_is_away_is_unavailable(ask: Any) -> None:
    async with edge(ScriptedGateway(error=StoreUnavailable())) as running:
        answer = await failure_of(ask(running))
    assert answer.reason == "STORE_UNAVAILABLE"


@pytest.mark.parametrize("ask", [get, wait])
@pytest.mark.parametrize("command_id", ["", "a b", "x" * 65])
async def test_an_id_of_wrong_form_is_named(ask: Any, command_id: str) -> None:
    async with edge() as running:
        answer = await failure_of(ask(running, command_id))
    assert list(answer.violations) == ["command_id"]


@pytest.mark.parametrize(
    ("max_wait", "seconds"),
    [(None, 10.0), ({}, 0.0), ({"seconds": 2}, 2.0), ({"seconds": 31}, 30.0)],
)
async def test_a_wait_is_10_seconds_unless_asked_and_30_at_most(
    max_wait: dict[str, int] | None, seconds: float
) -> None:
    fields: dict[str, Any] = {} if max_wait is None else {"max_wait": max_wait}
    async with edge(holding()) as running:
        await wait(running, **fields)
        assert running.gateway.waits == [("c1", seconds)]


async def test_a_wait_ends_before_the_deadline() -> None:
    async with edge(holding()) as running:
        await wait(running, timeout=5.0)
        ((_, seconds),) = running.gateway.waits
    assert 1.0 < seconds < 5.0


async def test_a_negative_wait_and_a_wrong_id_are_named_together() -> None:
    async with edge() as running:
        answer = await failure_of(wait(running, "", max_wait={"seconds": -1}))
        assert running.gateway.waits == []
    assert list(answer.violations) == ["command_id", "max_wait"]
