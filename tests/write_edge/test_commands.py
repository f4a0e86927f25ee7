"""The nine command RPCs: what reaches the gateway, and how each outcome is answered."""

from dataclasses import replace
from typing import Any, get_args

import grpc
import pytest
from structlog.testing import capture_logs

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.wire.values import order_to_proto
from contexts.orders.write.service import ANSWER_MARGIN_SECONDS, COMMAND_TYPES
from eventcore.command_gateway import Outcome, WaitFor
from eventcore.errors import CommandQueueFull, CorruptLog, StoreUnavailable
from eventcore.messages import CommandEnvelope, CommandStage, Lane
from orderes.v1 import command_pb2
from tests.orders.requests import COMMAND_ID, FORMS
from tests.support.rpc import failure_of
from tests.write_edge.gateway import (
    OVERPAYMENT,
    STORE_ID,
    VIEW,
    Edge,
    ScriptedGateway,
    edge,
    receipt,
)


def reaching(stage: CommandStage) -> ScriptedGateway:
    """A gateway whose commands all come so far."""
    return ScriptedGateway(outcome_of=lambda envelope: receipt(envelope, stage))


def failing(error: Any) -> ScriptedGateway:
    return ScriptedGateway(outcome_of=lambda _: error)


async def send(
    running: Edge,
    name: str = "PlaceOrder",
    *,
    timeout: float | None = None,  # noqa: ASYNC109 (the deadline of the call)
    metadata: Any = (),
    **changes: Any,
) -> Any:
    method = getattr(running.stub, name)
    return await method(
        FORMS[name].request(**changes), timeout=timeout, metadata=metadata
    )


def test_the_types_of_command_are_those_of_the_domain_and_of_the_tests() -> None:
    names = {command.__name__ for command in get_args(OrderCommand)}
    assert set(COMMAND_TYPES) == names == set(FORMS)
    assert len(COMMAND_TYPES) == 9


@pytest.mark.parametrize("name", FORMS)
async def test_every_command_is_executed_and_answered_with_its_order(name: str) -> None:
    async with edge() as running:
        answer = await send(running, name)
        (sent,) = running.gateway.sent
    assert (sent.envelope.type, sent.envelope.command_id) == (name, COMMAND_ID)
    assert sent.envelope.command == FORMS[name].command(FORMS[name].request())
    assert type(answer).__name__ == f"{name}Response"
    assert answer.command.type == name
    assert answer.command.stage == command_pb2.COMMAND_STAGE_COMMITTED
    assert answer.command.store_id == STORE_ID
    assert answer.order == order_to_proto(VIEW)


async def test_what_is_not_said_of_the_delivery_has_its_default() -> None:
    async with edge() as running:
        await send(running)
        (sent,) = running.gateway.sent
    assert (sent.wait_seconds, sent.wait_for) == (10.0, WaitFor.ACCEPTED)
    assert sent.envelope.lane is Lane.NORMAL


async def test_the_options_say_how_a_command_is_delivered() -> None:
    options = {
        "wait_for": command_pb2.WAIT_FOR_COMMITTED,
        "lane": command_pb2.LANE_BULK,
        "max_wait": {"seconds": 3},
    }
    async with edge() as running:
        await send(running, "RecordPayment", options=options)
        (sent,) = running.gateway.sent
    assert (sent.wait_seconds, sent.wait_for) == (3.0, WaitFor.COMMITTED)
    assert sent.envelope.lane is Lane.BULK


async def test_a_wait_ends_before_the_deadline_of_the_call() -> None:
    async with edge() as running:
        await send(running, timeout=5.0)
        (sent,) = running.gateway.sent
    assert sent.wait_seconds is not None
    assert 1.0 < sent.wait_seconds <= 5.0 - ANSWER_MARGIN_SECONDS + 0.01


async def test_an_accepted_command_is_answered_with_its_record_and_no_order() -> None:
    async with edge(reaching(CommandStage.ACCEPTED)) as running:
        answer = await send(running)
    assert answer.command.stage == command_pb2.COMMAND_STAGE_ACCEPTED
    assert answer.command.HasField("accept_time")
    assert not answer.command.HasField("complete_time")
    assert not answer.HasField("order")


async def test_a_repeated_command_says_so() -> None:
    def repeated(envelope: CommandEnvelope) -> Outcome:
        return replace(receipt(envelope, CommandStage.COMMITTED), deduplicated=True)

    async with edge(ScriptedGateway(outcome_of=repeated)) as running:
        assert (await send(running)).command.deduplicated


@pytest.mark.parametrize("options", [{}, {"validate_only": True}])
async def test_a_refusal_is_the_error_of_the_call(options: dict[str, bool]) -> None:
    async with edge(reaching(CommandStage.REFUSED)) as running:
        answer = await failure_of(send(running, options=options))
    assert (answer.code, answer.reason, answer.message) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "RULE_VIOLATED",
        OVERPAYMENT.message,
    )
    assert answer.metadata["rule"] == "OVERPAYMENT"
    assert answer.metadata["due"] == "999"
    assert answer.metadata["command_id"] == COMMAND_ID


async def test_a_failed_command_is_internal_says_why_and_not_what_caused_it() -> None:
    with capture_logs() as lines:
        async with edge(reaching(CommandStage.FAILED)) as running:
            answer = await failure_of(send(running))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.INTERNAL,
        "COMMAND_FAILED",
    )
    assert "kept for an operator" in answer.message
    assert answer.metadata["attempts"] == "5"
    assert "ZeroDivisionError" not in str(answer)
    assert lines == []


async def test_a_discarded_command_says_so() -> None:
    async with edge(reaching(CommandStage.DISCARDED)) as running:
        answer = await failure_of(send(running))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "COMMAND_DISCARDED",
    )


async def test_a_command_that_is_only_validated_is_not_executed() -> None:
    async with edge(reaching(CommandStage.VALIDATED)) as running:
        answer = await send(running, options={"validate_only": True})
        (sent,) = running.gateway.sent
    assert sent.wait_for is None
    assert answer.command.stage == command_pb2.COMMAND_STAGE_VALIDATED
    assert answer.command.event_count == 1
    assert not answer.command.HasField("accept_time")
    assert not answer.HasField("order")


async def test_the_error_that_a_validated_command_would_get_is_the_error() -> None:
    async with edge(failing(StoreUnavailable())) as running:
        answer = await failure_of(send(running, options={"validate_only": True}))
    assert answer.reason == "STORE_UNAVAILABLE"


async def test_a_full_queue_holds_the_client_back_with_the_trailer() -> None:
    full = CommandQueueFull(
        "the lane is full",
        lane=Lane.NORMAL,
        depth=5,
        capacity=5,
        retry_delay_seconds=2.0,
    )
    async with edge(failing(full)) as running:
        answer = await failure_of(send(running))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "COMMAND_QUEUE_FULL",
    )
    delay = int(answer.trailers["grpc-retry-pushback-ms"])
    assert 1600 <= delay <= 2400
    assert answer.details["RetryInfo"].retry_delay.ToMilliseconds() == delay


async def test_a_fault_of_the_server_leaks_nothing_and_is_logged() -> None:
    with capture_logs() as lines:
        async with edge(failing(CorruptLog("SECRET"))) as running:
            answer = await failure_of(send(running))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "SECRET" not in str(answer)
    assert [line["event"] for line in lines] == ["rpc_failed"]


@pytest.mark.parametrize("name", FORMS)
async def test_every_wrong_field_is_named_and_the_gateway_told(name: str) -> None:
    metadata = [("x-causation-id", "")]
    options = {"wait_for": 9, "lane": 9}
    async with edge() as running:
        answer = await failure_of(
            send(running, name, order_id="x", options=options, metadata=metadata)
        )
        assert running.gateway.sent == []
        (turned,) = running.gateway.turned
    assert list(answer.violations) == [
        "x-causation-id",
        "order_id",
        "options.wait_for",
        "options.lane",
    ]
    command_type, command_id, trace, fields = turned
    assert (command_type, command_id) == (name, COMMAND_ID)
    assert fields == list(answer.violations)
    assert trace.correlation_id == answer.metadata["correlation_id"]


async def test_a_new_order_gets_an_id_from_the_server() -> None:
    async with edge() as running:
        await send(running, order_id="")
        await send(running, order_id="")
        first, second = running.gateway.sent
    assert first.envelope.stream != second.envelope.stream
    assert first.envelope.fingerprint == second.envelope.fingerprint
