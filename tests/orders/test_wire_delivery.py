"""Delivery: lanes and waits, which are never part of what a command says."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import Delivery
from eventcore.command_gateway import WaitFor
from eventcore.fields import DURATION_SECONDS_MAX, FieldFaults
from eventcore.messages import Lane
from orderes.v1 import command_pb2
from tests.orders.requests import FORMS, wrong_fields


def read_delivery(**options: Any) -> Delivery:
    faults = FieldFaults()
    delivery = wire.delivery(command_pb2.CommandOptions(**options), faults)
    faults.raise_if_any()
    return delivery


def wrong_options(**options: Any) -> set[str]:
    form = FORMS["DeliverOrder"]
    return set(wrong_fields(form, form.request(options=options)))


def test_a_command_is_delivered_by_the_defaults_where_nothing_is_said() -> None:
    assert read_delivery() == Delivery(
        lane=None,
        max_wait_seconds=10.0,
        wait_for=WaitFor.ACCEPTED,
        validate_only=False,
    )


@pytest.mark.parametrize(
    ("max_wait", "seconds"),
    [
        (Duration(), 0.0),
        (Duration(nanos=500_000_000), 0.5),
        (Duration(seconds=30), 30.0),
        (Duration(seconds=30, nanos=1), 30.0),
        (Duration(seconds=DURATION_SECONDS_MAX), 30.0),
    ],
)
def test_a_wait_is_cut_to_30_seconds(max_wait: Duration, seconds: float) -> None:
    assert read_delivery(max_wait=max_wait).max_wait_seconds == seconds


@pytest.mark.parametrize(
    "max_wait",
    [
        {"seconds": -1},
        {"nanos": -1},
        {"seconds": 1, "nanos": -1},
        {"seconds": -1, "nanos": 1},
        {"nanos": 1_000_000_000},
        {"seconds": DURATION_SECONDS_MAX + 1},
        {"seconds": -DURATION_SECONDS_MAX - 1},
    ],
)
def test_a_wait_that_is_negative_or_malformed_is_refused(
    max_wait: dict[str, int],
) -> None:
    assert wrong_options(max_wait=max_wait) == {"options.max_wait"}


@pytest.mark.parametrize("number", [-1, 4, 2**31 - 1])
def test_a_number_that_the_contract_does_not_have_is_refused(number: int) -> None:
    options = {"wait_for": number, "lane": number}
    assert wrong_options(**options) == {
        "options.wait_for",
        "options.lane",
    }


@pytest.mark.parametrize("lane", command_pb2.Lane.values())
def test_every_lane_of_the_contract_can_be_asked_for(
    lane: command_pb2.Lane.ValueType,
) -> None:
    name = command_pb2.Lane.Name(lane).removeprefix("LANE_")
    expected = None if name == "UNSPECIFIED" else Lane[name]
    assert read_delivery(lane=lane).lane is expected


@pytest.mark.parametrize("wait_for", command_pb2.WaitFor.values())
def test_every_wait_of_the_contract_can_be_asked_for(
    wait_for: command_pb2.WaitFor.ValueType,
) -> None:
    name = command_pb2.WaitFor.Name(wait_for).removeprefix("WAIT_FOR_")
    expected = WaitFor.ACCEPTED if name == "UNSPECIFIED" else WaitFor[name]
    assert read_delivery(wait_for=wait_for).wait_for is expected


def test_a_command_is_only_validated_if_asked_for() -> None:
    assert read_delivery(validate_only=True).validate_only


@pytest.mark.parametrize("name", FORMS)
def test_payments_and_cancellations_go_first(name: str) -> None:
    command = FORMS[name].command(FORMS[name].request())
    first = {"RecordPayment", "RefundPayment", "CancelOrder"}
    assert wire.default_lane(command) is (
        Lane.CRITICAL if name in first else Lane.NORMAL
    )
