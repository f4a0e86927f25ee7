"""A refusal becomes an exception that tells programs all that the server has told."""

import pickle
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from orderes.client import (
    CallReset,
    Client,
    CommandFailed,
    CommandQueueFull,
    DeadlineExceeded,
    InternalFault,
    InvalidFields,
    OrderesError,
    OrderNotFound,
    Outcome,
    ProjectionLagging,
    RuleViolated,
    ShuttingDown,
    StoreMismatch,
    TooManyCalls,
    Unavailable,
    Unimplemented,
    VersionMismatch,
    error_of,
)
from orderes.client.errors import error_from
from orderes.client.failure import Failure, FieldFault
from orderes.v1.command_pb2 import COMMAND_STAGE_REFUSED, Command
from orderes.v1.command_service_pb2 import CommandResult
from orderes.v1.errors_pb2 import (
    ERROR_REASON_COMMAND_QUEUE_FULL,
    ERROR_REASON_INVALID_FIELDS,
    ERROR_REASON_VERSION_MISMATCH,
    CommandError,
    ErrorReason,
)
from tests.cli.scripted import refusal
from tests.client.examples import (
    LAGGING,
    MISMATCH,
    ORDER_ID,
    OTHER_STORE,
    QUEUE_FULL,
    Code,
    bare,
    receipt,
    refused,
)
from tests.client.scripted import Script

OUTCOMES = {
    "INVALID_FIELDS": Outcome.REFUSED,
    "COMMAND_ID_REUSED": Outcome.REFUSED,
    "COMMAND_QUEUE_FULL": Outcome.NOT_ACCEPTED,
    "ORDER_NOT_FOUND": Outcome.REFUSED,
    "ORDER_ALREADY_EXISTS": Outcome.REFUSED,
    # Whoever takes one of these for a refusal may do twice what was, or will be, done once.
    "COMMAND_NOT_FOUND": Outcome.UNKNOWN,
    "COMMAND_FAILED": Outcome.UNKNOWN,
    "VERSION_MISMATCH": Outcome.REFUSED,
    "RULE_VIOLATED": Outcome.REFUSED,
    "PROJECTION_LAGGING": Outcome.UNKNOWN,
    "STORE_MISMATCH": Outcome.REFUSED,
    "SHUTTING_DOWN": Outcome.UNKNOWN,
    "STORE_UNAVAILABLE": Outcome.UNKNOWN,
    "INTERNAL": Outcome.UNKNOWN,
    "PROJECTION_NOT_FOUND": Outcome.REFUSED,
    "VERSION_OUT_OF_RANGE": Outcome.REFUSED,
    "COMMAND_DISCARDED": Outcome.REFUSED,
    "TOO_MANY_CALLS": Outcome.NOT_ACCEPTED,
    "WRONG_PROJECTION_STATE": Outcome.REFUSED,
}
REASONS = sorted(
    name.removeprefix("ERROR_REASON_")
    for name in ErrorReason.keys()  # noqa: SIM118  # It is no dict.
    if name != "ERROR_REASON_UNSPECIFIED"
)


def failure(code: Code = Code.UNKNOWN, reason: str = "", **facts: str) -> Failure:
    return Failure(code=code, message="no", reason=reason, facts=facts, status=Status())


async def error_for(client: Client, script: Script, status: Status) -> OrderesError:
    """What a query raises that is answered so."""
    script.on("GetOrder", status)
    with pytest.raises(OrderesError) as raised:
        await client.get_order(order_id=ORDER_ID)
    return raised.value


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_contract_has_a_class_and_an_outcome(reason: str) -> None:
    error = error_from(failure(reason=reason))

    assert type(error) is not OrderesError
    assert type(error).__name__.replace("Fault", "").upper() == reason.replace("_", "")
    assert error.outcome is OUTCOMES[reason]


def test_no_two_reasons_share_a_class() -> None:
    classes = {type(error_from(failure(reason=reason))) for reason in REASONS}

    assert len(classes) == len(REASONS)


@pytest.mark.parametrize(
    ("code", "expected", "outcome"),
    [
        (Code.UNAVAILABLE, Unavailable, Outcome.UNKNOWN),
        (Code.DEADLINE_EXCEEDED, DeadlineExceeded, Outcome.UNKNOWN),
        (Code.CANCELLED, CallReset, Outcome.UNKNOWN),
        (Code.INTERNAL, InternalFault, Outcome.UNKNOWN),
        (Code.UNIMPLEMENTED, Unimplemented, Outcome.REFUSED),
        # Of the library, which also means by it that an answer is too large to be taken in.
        (Code.RESOURCE_EXHAUSTED, OrderesError, Outcome.UNKNOWN),
        (Code.UNKNOWN, OrderesError, Outcome.UNKNOWN),
        (Code.PERMISSION_DENIED, OrderesError, Outcome.REFUSED),
    ],
)
@pytest.mark.parametrize("reason", ["", "OF_A_NEWER_SERVER"])
def test_where_the_reason_is_not_known_the_code_decides(
    code: Code, expected: type[OrderesError], outcome: Outcome, reason: str
) -> None:
    error = error_from(failure(code, reason))

    assert type(error) is expected
    assert error.outcome is outcome
    assert error.reason == reason


async def test_wrong_fields_are_named(client: Client, script: Script) -> None:
    status = refusal(
        Code.INVALID_ARGUMENT,
        "invalid fields: order_id",
        reason="INVALID_FIELDS",
        facts={"violations_total": "30"},
        fields={"order_id": "must be a UUID"},
    )

    error = await error_for(client, script, status)

    assert isinstance(error, InvalidFields)
    assert error.violations == (
        FieldFault(field="order_id", description="must be a UUID"),
    )
    assert error.violations_total == 30
    assert str(error) == (
        "INVALID_FIELDS: invalid fields: order_id (order_id: must be a UUID)"
    )


async def test_a_broken_rule_is_named_with_what_it_compares(
    client: Client, script: Script
) -> None:
    status = refusal(
        Code.FAILED_PRECONDITION,
        "too much",
        reason="RULE_VIOLATED",
        rule="OVERPAYMENT",
        facts={"amount": "5", "due": "4", "correlation_id": "flow-9"},
    )

    error = await error_for(client, script, status)

    assert isinstance(error, RuleViolated)
    assert error.rule == "OVERPAYMENT"
    assert error.facts["due"] == "4"
    assert error.correlation_id == "flow-9"
    assert error.code is Code.FAILED_PRECONDITION
    assert error.message == "too much"
    assert str(error) == "RULE_VIOLATED: too much, correlation_id flow-9"


@pytest.mark.parametrize(
    ("status", "expected", "facts"),
    [
        (
            refused(
                Code.ABORTED,
                "VERSION_MISMATCH",
                expected_version="3",
                actual_version="5",
            ),
            VersionMismatch,
            {"expected_version": 3, "actual_version": 5},
        ),
        (
            QUEUE_FULL,
            CommandQueueFull,
            {
                "lane": "normal",
                "depth": 7,
                "capacity": 8,
                "retry_delay_seconds": 0.001,
            },
        ),
        (
            refused(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", limit="100"),
            TooManyCalls,
            {"limit": 100, "retry_delay_seconds": None},
        ),
        (MISMATCH, StoreMismatch, {"store_id": OTHER_STORE}),
        (LAGGING, ProjectionLagging, {"min_position": 9, "position": 7}),
        (
            refused(Code.NOT_FOUND, "ORDER_NOT_FOUND", order_id=ORDER_ID),
            OrderNotFound,
            {"order_id": ORDER_ID},
        ),
        (
            refused(Code.INTERNAL, "COMMAND_FAILED", attempts="5"),
            CommandFailed,
            {"attempts": 5},
        ),
        # An old server, or one that has cut its facts, leaves them out.
        (
            refused(Code.ABORTED, "VERSION_MISMATCH", expected_version="?"),
            VersionMismatch,
            {"expected_version": 0, "actual_version": 0},
        ),
    ],
)
async def test_facts_are_attributes(
    client: Client,
    script: Script,
    status: Status,
    expected: type[OrderesError],
    facts: dict[str, Any],
) -> None:
    error = await error_for(client, script, status)

    assert type(error) is expected
    assert {name: getattr(error, name) for name in facts} == facts


async def test_what_is_unavailable_is_caught_at_once_or_one_by_one(
    client: Client, script: Script
) -> None:
    error = await error_for(client, script, refused(Code.UNAVAILABLE, "SHUTTING_DOWN"))

    assert isinstance(error, ShuttingDown)
    assert isinstance(error, Unavailable)


async def test_an_error_without_details_still_says_what_was_sent(
    client: Client, script: Script
) -> None:
    script.on("DeliverOrder", bare(Code.UNKNOWN, "?"))

    with pytest.raises(OrderesError) as raised:
        await client.deliver_order(
            order_id=ORDER_ID, command_id="c-1", correlation_id="flow-1"
        )

    assert raised.value.command_id == "c-1"
    assert raised.value.correlation_id == "flow-1"
    assert isinstance(raised.value.__cause__, grpc.aio.AioRpcError)


def test_an_error_can_be_sent_to_another_process() -> None:
    error = error_from(
        failure(Code.ABORTED, "VERSION_MISMATCH", actual_version="5"),
        command_ids=["c-1"],
    )
    error.outcome = Outcome.UNKNOWN

    other = pickle.loads(pickle.dumps(error))

    assert type(other) is VersionMismatch
    assert other.actual_version == 5
    assert other.command_id == "c-1"
    assert other.outcome is Outcome.UNKNOWN
    assert str(other) == str(error)


def test_a_record_of_a_refused_command_is_the_same_error() -> None:
    command = receipt(
        0,
        stage=COMMAND_STAGE_REFUSED,
        command_id="c-1",
        correlation_id="flow-1",
        error=CommandError(
            code=Code.ABORTED.value[0],
            reason=ERROR_REASON_VERSION_MISMATCH,
            message="expected version 3, but it is 5",
            metadata={"expected_version": "3", "actual_version": "5"},
        ),
    )

    for answer in (command, command.error, CommandResult(command=command)):
        error = error_of(answer)
        assert isinstance(error, VersionMismatch)
        assert (error.expected_version, error.actual_version) == (3, 5)
        assert error.code is Code.ABORTED
        assert error.message == "expected version 3, but it is 5"
    of_record = error_of(command)
    assert of_record is not None
    assert (of_record.command_id, of_record.correlation_id) == ("c-1", "flow-1")


def test_a_result_without_a_record_is_an_error_with_its_command_id() -> None:
    message = CommandError(
        code=Code.RESOURCE_EXHAUSTED.value[0],
        reason=ERROR_REASON_COMMAND_QUEUE_FULL,
        metadata={"command_id": "c-1", "lane": "bulk"},
    )
    message.retry_delay.FromMilliseconds(250)

    error = error_of(CommandResult(error=message))

    assert isinstance(error, CommandQueueFull)
    assert error.lane == "bulk"
    assert error.command_id == "c-1"
    assert error.retry_delay_seconds == 0.25


def test_wrong_fields_of_a_command_in_a_stream_are_named() -> None:
    error = error_of(
        CommandError(
            code=Code.INVALID_ARGUMENT.value[0],
            reason=ERROR_REASON_INVALID_FIELDS,
            metadata={
                "command_id": "c-1",
                "order_id": ORDER_ID,
                "violations_total": "21",
                "command.lines": "required",
                "command.customer_id": "required",
            },
        )
    )

    assert isinstance(error, InvalidFields)
    assert [violation.field for violation in error.violations] == [
        "command.customer_id",
        "command.lines",
    ]
    assert error.violations_total == 21
    assert set(error.facts) == {"command_id", "order_id", "violations_total"}


def test_what_went_well_is_no_error() -> None:
    assert error_of(receipt()) is None
    assert error_of(CommandResult(command=receipt())) is None


def test_a_reason_and_a_code_of_a_newer_server_are_an_error_all_the_same() -> None:
    message = CommandError(code=99)
    message.MergeFromString(b"\x10\x63")  # Field 2, reason: 99.

    error = error_of(Command(command_id="c-1", error=message))

    assert type(error) is OrderesError
    assert (error.reason, error.code) == ("", Code.UNKNOWN)
