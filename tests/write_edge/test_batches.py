"""SubmitCommands: commands at once, each with an outcome of its own."""

from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from contexts.orders.write.batches import COMMANDS_MAX
from eventcore.command_gateway import Outcome, WaitFor
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    CorruptLog,
    FieldViolation,
    InvalidFields,
    ShuttingDown,
)
from eventcore.messages import CommandEnvelope, CommandStage, Lane
from orderes.v1 import command_pb2, errors_pb2
from orderes.v1.command_service_pb2 import SubmitCommandsRequest
from tests.orders.examples import ORDER_ID
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.rpc import failure_of
from tests.write_edge.gateway import Edge, ScriptedGateway, edge, receipt

PRINTABLE_TOO_LONG = "x" * 129


def enveloped(
    name: str = "PlaceOrder",
    *,
    correlation_id: str = "",
    causation_id: str = "",
    **changes: Any,
) -> dict[str, Any]:
    """A command as it stands in a batch or a stream."""
    field = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    request = FORMS[name].request(**{"command_id": an_id(), **changes})
    return {
        field: request,
        "correlation_id": correlation_id,
        "causation_id": causation_id,
    }


async def submit(
    running: Edge,
    *commands: dict[str, Any],
    timeout: float | None = None,  # noqa: ASYNC109 (the deadline of the call)
    metadata: Any = (),
    **options: Any,
) -> Any:
    request = SubmitCommandsRequest(commands=commands, options=options)  # type: ignore[arg-type]
    return await running.stub.SubmitCommands(
        request, timeout=timeout, metadata=metadata
    )


def by_id(outcomes: dict[str, Any]) -> ScriptedGateway:
    """A gateway with an outcome of its own for some commands: a stage, or an error."""

    def outcome_of(envelope: CommandEnvelope) -> Outcome:
        outcome = outcomes.get(envelope.command_id, CommandStage.COMMITTED)
        if isinstance(outcome, CommandStage):
            return receipt(envelope, outcome)
        return outcome  # type: ignore[no-any-return]

    return ScriptedGateway(outcome_of=outcome_of)


@pytest.mark.parametrize("name", FORMS)
async def test_every_command_can_be_submitted(name: str) -> None:
    async with edge() as running:
        answer = await submit(running, enveloped(name))
        (sent,) = running.gateway.sent
    assert sent.envelope.type == name
    assert answer.results[0].command.type == name


async def test_a_batch_goes_to_the_gateway_as_one_and_in_order() -> None:
    ids = [f"c{number}" for number in range(COMMANDS_MAX)]
    async with edge() as running:
        answer = await submit(
            running,
            *(enveloped(command_id=command_id) for command_id in ids),
            lane=command_pb2.LANE_BULK,
            wait_for=command_pb2.WAIT_FOR_COMMITTED,
            max_wait={"seconds": 3},
        )
        (sent,) = running.gateway.sent
    assert [result.command.command_id for result in answer.results] == ids
    assert [envelope.command_id for envelope in sent.envelopes] == ids
    assert {envelope.lane for envelope in sent.envelopes} == {Lane.BULK}
    assert (sent.wait_seconds, sent.wait_for) == (3.0, WaitFor.COMMITTED)


async def test_a_batch_never_waits_past_its_deadline() -> None:
    async with edge() as running:
        await submit(running, enveloped(), timeout=5.0)
        (sent,) = running.gateway.sent
    assert sent.wait_seconds is not None
    assert 1.0 < sent.wait_seconds < 5.0


async def test_each_command_has_a_result_of_its_own() -> None:
    full = CommandQueueFull(
        "no room", lane=Lane.NORMAL, depth=5, capacity=5, retry_delay_seconds=2.0
    )
    script = {
        "refused": CommandStage.REFUSED,
        "accepted": CommandStage.ACCEPTED,
        "reused": CommandIdReused("reused"),
        "full": full,
    }
    ids = ["committed", *script]
    async with edge(by_id(script)) as running:
        answer = await submit(
            running, *(enveloped(command_id=command_id) for command_id in ids)
        )
    done, refused, accepted, reused, held_back = answer.results
    assert done.command.stage == command_pb2.COMMAND_STAGE_COMMITTED
    assert accepted.command.stage == command_pb2.COMMAND_STAGE_ACCEPTED
    assert refused.command.error.rule == "OVERPAYMENT"
    assert refused.command.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert reused.error == errors_pb2.CommandError(
        code=6,
        reason=errors_pb2.ERROR_REASON_COMMAND_ID_REUSED,
        message=CommandIdReused("reused").message,
        metadata={"command_id": "reused", "order_id": ORDER_ID},
    )
    assert held_back.error.reason == errors_pb2.ERROR_REASON_COMMAND_QUEUE_FULL
    assert dict(held_back.error.metadata) == {
        "command_id": "full",
        "order_id": ORDER_ID,
        "lane": "normal",
        "depth": "5",
        "capacity": "5",
    }
    assert 1600 <= held_back.error.retry_delay.ToMilliseconds() <= 2400


async def test_a_failed_command_in_a_batch_does_not_say_what_caused_it() -> None:
    async with edge(by_id({"broken": CommandStage.FAILED})) as running:
        answer = await submit(running, enveloped(command_id="broken"))
    error = answer.results[0].command.error
    assert error.reason == errors_pb2.ERROR_REASON_COMMAND_FAILED
    assert dict(error.metadata) == {"attempts": "5"}


async def test_a_fault_in_a_batch_leaks_nothing_and_is_logged() -> None:
    gateway = by_id({"broken": CorruptLog("SECRET")})
    with capture_logs() as lines:
        async with edge(gateway) as running:
            answer = await submit(running, enveloped(), enveloped(command_id="broken"))
    error = answer.results[1].error
    assert (error.code, error.reason) == (13, errors_pb2.ERROR_REASON_INTERNAL)
    assert "SECRET" not in str(answer)
    (line,) = lines
    assert (line["event"], line["command_id"]) == ("rpc_failed", "broken")


async def test_what_fails_the_whole_batch_is_the_error_of_the_call() -> None:
    async with edge(ScriptedGateway(error=ShuttingDown())) as running:
        answer = await failure_of(submit(running, enveloped()))
    assert answer.reason == "SHUTTING_DOWN"
    assert "grpc-retry-pushback-ms" in answer.trailers


async def test_a_batch_beyond_its_lane_is_named_by_the_gateway() -> None:
    error = InvalidFields([FieldViolation("commands", "the lane holds 3")])
    async with edge(ScriptedGateway(error=error)) as running:
        answer = await failure_of(submit(running, enveloped()))
    assert answer.violations == {"commands": "the lane holds 3"}


async def test_a_batch_can_be_validated() -> None:
    script = {"c1": CommandStage.VALIDATED, "c2": CommandStage.REFUSED}
    async with edge(by_id(script)) as running:
        answer = await submit(
            running,
            enveloped(command_id="c1"),
            enveloped(command_id="c2"),
            validate_only=True,
        )
        (sent,) = running.gateway.sent
    assert sent.wait_for is None
    assert [result.command.stage for result in answer.results] == [
        command_pb2.COMMAND_STAGE_VALIDATED,
        command_pb2.COMMAND_STAGE_REFUSED,
    ]


# Where commands come from.


async def test_a_command_comes_from_where_its_call_does_unless_it_says_more() -> None:
    metadata = [("x-correlation-id", "flow-1"), ("x-causation-id", "cause-1")]
    async with edge() as running:
        await submit(
            running,
            enveloped(),
            enveloped(correlation_id="flow-2"),
            enveloped(causation_id="cause-2"),
            metadata=metadata,
        )
        (sent,) = running.gateway.sent
    traces = [
        (envelope.trace.correlation_id, envelope.trace.causation_id)
        for envelope in sent.envelopes
    ]
    assert traces == [
        ("flow-1", "cause-1"),
        ("flow-2", "cause-1"),
        ("flow-1", "cause-2"),
    ]


@pytest.mark.parametrize("value", [PRINTABLE_TOO_LONG, "caf\u00e9", "a\tb", "\0"])
async def test_the_ids_of_an_envelope_have_the_form_of_those_in_metadata(
    value: str,
) -> None:
    async with edge() as running:
        answer = await failure_of(
            submit(running, enveloped(correlation_id=value, causation_id=value))
        )
    assert list(answer.violations) == [
        "commands[0].correlation_id",
        "commands[0].causation_id",
    ]


# Form.


@pytest.mark.parametrize("count", [0, COMMANDS_MAX + 1])
async def test_a_batch_has_1_to_100_commands(count: int) -> None:
    async with edge() as running:
        answer = await failure_of(submit(running, *(enveloped() for _ in range(count))))
        assert running.gateway.sent == []
    assert list(answer.violations) == ["commands"]


async def test_every_fault_in_a_batch_is_named_with_its_path() -> None:
    good = {"product_id": "a", "quantity": 1}
    price = {"currency_code": "EUR", "minor_units": 1}
    lines = [{**good, "unit_price": price}, {"product_id": "b", "unit_price": price}]
    metadata = [("x-correlation-id", "")]
    async with edge() as running:
        answer = await failure_of(
            submit(
                running,
                enveloped(),
                enveloped(lines=lines),
                {},
                enveloped("ShipOrder", order_id="x", command_id=""),
                enveloped("CancelOrder", options={"lane": 1}),
                lane=9,
                metadata=metadata,
            )
        )
        assert running.gateway.sent == []
        turned = running.gateway.turned
    assert list(answer.violations) == [
        "x-correlation-id",
        "commands[1].lines[1].quantity",
        "commands[2]",
        "commands[3].command_id",
        "commands[3].order_id",
        "commands[4].options",
        "options.lane",
    ]
    assert [(name, fields) for name, _, _, fields in turned] == [
        ("PlaceOrder", ["commands[1].lines[1].quantity"]),
        ("ShipOrder", ["commands[3].command_id", "commands[3].order_id"]),
        ("CancelOrder", ["commands[4].options"]),
    ]


async def test_of_very_many_faults_the_first_20_are_named_and_all_are_counted() -> None:
    async with edge() as running:
        answer = await failure_of(submit(running, *({} for _ in range(COMMANDS_MAX))))
    assert list(answer.violations) == [f"commands[{index}]" for index in range(20)]
    assert answer.metadata["violations_total"] == "100"
