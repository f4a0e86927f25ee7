"""Receipts: what is stored of a command, on the wire."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.domain import refusals
from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.wire.records import (
    command_to_proto,
    error_to_proto,
    result_to_proto,
)
from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    CorruptLog,
    EventCoreError,
    FieldViolation,
    InvalidFields,
    Refusal,
    ShuttingDown,
    StoredError,
    VersionMismatch,
)
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Fingerprint,
    Kind,
    Lane,
    StreamId,
    Trace,
)
from eventcore.rpc.call import Call
from eventcore.rpc.errors import answer_of
from orderes.v1 import command_pb2, errors_pb2
from tests.orders.examples import ORDER_ID
from tests.support.rpc import failure_from

CONTRACT = Path(__file__).parents[2] / "protos" / "orderes" / "v1" / "errors.proto"

COMMITTED = CommandRecord(
    command_id="command-1",
    type="RecordPayment",
    stream=StreamId(ORDER_CATEGORY, ORDER_ID),
    fingerprint=Fingerprint(version=1, digest=b"\0" * 16),
    stage=CommandStage.COMMITTED,
    lane=Lane.CRITICAL,
    trace=Trace(correlation_id="flow-1", causation_id="event-1"),
    accept_time=1_790_000_000_000_001,
    complete_time=1_790_000_000_000_002,
    stream_version=3,
    position=42,
    event_count=2,
)

OVERPAID = refusals.Overpayment(
    order_id=ORDER_ID, amount=1000, due=999, currency_code="EUR"
)


def test_a_committed_command_has_its_versions_and_its_times() -> None:
    assert command_to_proto(
        COMMITTED, store_id="store-1", deduplicated=False
    ) == command_pb2.Command(
        command_id="command-1",
        correlation_id="flow-1",
        causation_id="event-1",
        type="RecordPayment",
        order_id=ORDER_ID,
        stage=command_pb2.COMMAND_STAGE_COMMITTED,
        order_version=3,
        position=42,
        event_count=2,
        attempts=1,
        lane=command_pb2.LANE_CRITICAL,
        store_id="store-1",
        accept_time=Timestamp(seconds=1_790_000_000, nanos=1000),
        complete_time=Timestamp(seconds=1_790_000_000, nanos=2000),
    )


def test_a_repeated_answer_says_so_and_differs_in_nothing_else() -> None:
    first = command_to_proto(COMMITTED, store_id="store-1", deduplicated=False)
    again = command_to_proto(COMMITTED, store_id="store-1", deduplicated=True)
    assert again.deduplicated
    again.ClearField("deduplicated")
    assert again == first


def test_a_refused_command_says_why() -> None:
    refused = replace(
        COMMITTED,
        stage=CommandStage.REFUSED,
        stream_version=0,
        position=0,
        event_count=0,
        error=OVERPAID.record(),
    )
    message = command_to_proto(refused, store_id="store-1", deduplicated=False)
    assert message.stage == command_pb2.COMMAND_STAGE_REFUSED
    assert (message.order_version, message.position, message.event_count) == (0, 0, 0)
    assert message.error == errors_pb2.CommandError(
        code=9,
        reason=errors_pb2.ERROR_REASON_RULE_VIOLATED,
        message=OVERPAID.message,
        rule="OVERPAYMENT",
        metadata={
            "order_id": ORDER_ID,
            "amount": "1000",
            "due": "999",
            "currency_code": "EUR",
        },
    )


@pytest.mark.parametrize(
    ("refusal", "code", "reason"),
    [
        (refusals.OrderNotFound(order_id=ORDER_ID), 5, "ORDER_NOT_FOUND"),
        (refusals.OrderAlreadyExists(order_id=ORDER_ID), 6, "ORDER_ALREADY_EXISTS"),
        (VersionMismatch(expected=1, actual=2), 10, "VERSION_MISMATCH"),
    ],
)
def test_a_refusal_without_a_rule_has_its_reason(
    refusal: Refusal, code: int, reason: str
) -> None:
    message = error_to_proto(refusal.record())
    assert (message.code, message.rule) == (code, "")
    assert errors_pb2.ErrorReason.Name(message.reason) == f"ERROR_REASON_{reason}"
    assert dict(message.metadata) == dict(refusal.facts)


COMMAND_FAILED = ErrorRecord(
    kind=Kind.FAULT,
    reason="COMMAND_FAILED",
    message="the command failed",
    facts={"attempts": "5", "cause": "ZeroDivisionError"},
)
FAILED = replace(COMMITTED, stage=CommandStage.FAILED, attempts=5, error=COMMAND_FAILED)


def test_only_operators_are_told_what_broke_a_failed_command() -> None:
    shown = command_to_proto(FAILED, store_id="store-1").error
    assert (shown.code, dict(shown.metadata)) == (13, {"attempts": "5"})
    for_operators = command_to_proto(FAILED, store_id="store-1", for_operators=True)
    assert dict(for_operators.error.metadata) == COMMAND_FAILED.facts
    assert for_operators.attempts == 5


def test_a_time_that_has_not_come_is_not_set() -> None:
    accepted = replace(COMMITTED, stage=CommandStage.ACCEPTED, complete_time=0)
    message = command_to_proto(accepted, store_id="store-1")
    assert message.HasField("accept_time")
    assert not message.HasField("complete_time")
    validated = replace(accepted, stage=CommandStage.VALIDATED, accept_time=0)
    assert not command_to_proto(validated, store_id="store-1").HasField("accept_time")


FULL = CommandQueueFull(
    "no room", lane=Lane.BULK, depth=5, capacity=5, retry_delay_seconds=2.0
)
WRONG = InvalidFields([FieldViolation(f"lines[{n}]", "required") for n in range(30)])


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        WRONG,
        OVERPAID,
        StoredError(COMMAND_FAILED),
        CommandIdReused("c1"),
        ShuttingDown(),
        CorruptLog("SECRET"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_in_a_batch_says_the_same_as_the_error_of_a_call(
    error: EventCoreError,
) -> None:
    subject = {"command_id": "c1", "order_id": ORDER_ID}
    message = result_to_proto(error, store_id="store-1", subject=subject).error
    call = Call(method="/M", correlation_id="flow-1", subject=subject)
    answer = answer_of(error, call, domain="orderes")
    failure = failure_from(answer.code, answer.message, dict(answer.trailers))
    assert message.code == failure.code.value[0]
    assert errors_pb2.ErrorReason.Name(message.reason) == (
        f"ERROR_REASON_{failure.reason}"
    )
    assert message.message == failure.message
    assert message.HasField("retry_delay") == ("RetryInfo" in failure.details)
    facts = failure.metadata
    assert facts.pop("correlation_id") == "flow-1"
    assert facts.pop("rule", "") == message.rule
    wrong = failure.violations if "BadRequest" in failure.details else {}
    assert dict(message.metadata) == facts | wrong


def test_the_result_of_a_repeated_command_is_its_record() -> None:
    receipt = Receipt(record=COMMITTED, deduplicated=True)
    result = result_to_proto(receipt, store_id="store-1", subject={})
    assert result.command == command_to_proto(
        COMMITTED, store_id="store-1", deduplicated=True
    )


def test_a_reason_that_is_not_of_the_contract_is_a_fault() -> None:
    with pytest.raises(ValueError, match="ERROR_REASON_X"):
        error_to_proto(replace(OVERPAID.record(), reason="X"))


@pytest.mark.parametrize("lane", Lane)
def test_every_lane_has_its_number(lane: Lane) -> None:
    message = command_to_proto(
        replace(COMMITTED, lane=lane), store_id="store-1", deduplicated=False
    )
    assert command_pb2.Lane.Name(message.lane) == f"LANE_{lane.name}"


@pytest.mark.parametrize("stage", CommandStage)
def test_every_stage_has_its_number(stage: CommandStage) -> None:
    message = command_to_proto(
        replace(COMMITTED, stage=stage), store_id="store-1", deduplicated=False
    )
    assert command_pb2.CommandStage.Name(message.stage) == f"COMMAND_STAGE_{stage.name}"


def test_the_rules_are_those_that_the_contract_lists() -> None:
    comment = CONTRACT.read_text().split("The rules:")[1].split("ERROR_REASON_RULE")[0]
    listed = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bOVERPAYMENT\b", comment))
    rules = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", rule.__name__).upper()
        for rule in refusals.RuleViolated.__subclasses__()
    }
    assert rules == listed
