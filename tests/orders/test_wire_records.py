"""Receipts: what is stored of a command, on the wire."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.domain import refusals
from contexts.orders.events import ORDER_CATEGORY
from contexts.orders.wire.records import command_to_proto, error_to_proto
from eventcore.errors import Refusal, VersionMismatch
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    Fingerprint,
    Lane,
    StreamId,
    Trace,
)
from orderes.v1 import command_pb2, errors_pb2
from tests.orders.examples import ORDER_ID

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
        refusal=OVERPAID.record(),
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
