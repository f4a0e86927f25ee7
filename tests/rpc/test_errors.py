"""Errors as statuses with details."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.errors import (
    CommandIdReused,
    CommandNotFound,
    CommandQueueFull,
    CorruptLog,
    EventCoreError,
    FieldViolation,
    InvalidFields,
    PositionNotReached,
    ProjectionRebuilding,
    Refusal,
    ShuttingDown,
    StoreBroken,
    StoredError,
    StoreMismatch,
    StoreUnavailable,
    TooManyCalls,
    TooStale,
    VersionMismatch,
)
from eventcore.messages import ErrorRecord, Kind, Lane
from eventcore.rpc.call import Call
from eventcore.rpc.errors import (
    DETAILS_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    answer_of,
    cut,
    is_fault,
    status_of,
)
from tests.support.rpc import Failure, failure_from

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"


def call_about(**subject: str) -> Call:
    return Call(
        method="/test.v1.Texts/UnaryUnary", correlation_id="flow-1", subject=subject
    )


def failure(error: BaseException, call: Call | None = None) -> Failure:
    answer = answer_of(error, call or call_about(), domain="orderes")
    return failure_from(answer.code, answer.message, dict(answer.trailers))


def queue_full(retry_delay_seconds: float = 1.0) -> CommandQueueFull:
    return CommandQueueFull(
        "the lane is full",
        lane=Lane.BULK,
        depth=5,
        capacity=5,
        retry_delay_seconds=retry_delay_seconds,
    )


def rule_violated(message: str = "too much") -> Refusal:
    return Refusal(
        kind=Kind.PRECONDITION,
        reason="RULE_VIOLATED",
        rule="OVERPAYMENT",
        message=message,
        facts={"due": "1999"},
    )


FAILED = StoredError(
    ErrorRecord(
        kind=Kind.FAULT,
        reason="COMMAND_FAILED",
        message="the command failed and is kept for an operator",
        facts={"attempts": "5", "cause": "ZeroDivisionError"},
    )
)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (
            InvalidFields([FieldViolation("a", "b")]),
            "INVALID_ARGUMENT",
            "INVALID_FIELDS",
        ),
        (CommandNotFound("c1"), "NOT_FOUND", "COMMAND_NOT_FOUND"),
        (CommandIdReused("c1"), "ALREADY_EXISTS", "COMMAND_ID_REUSED"),
        (rule_violated(), "FAILED_PRECONDITION", "RULE_VIOLATED"),
        (StoreMismatch(given="a", actual="b"), "FAILED_PRECONDITION", "STORE_MISMATCH"),
        (VersionMismatch(expected=1, actual=2), "ABORTED", "VERSION_MISMATCH"),
        (queue_full(), "RESOURCE_EXHAUSTED", "COMMAND_QUEUE_FULL"),
        (ShuttingDown(), "UNAVAILABLE", "SHUTTING_DOWN"),
        (StoreUnavailable(), "UNAVAILABLE", "STORE_UNAVAILABLE"),
        (StoreBroken(), "UNAVAILABLE", "STORE_UNAVAILABLE"),
        (TooManyCalls("too many", limit=4000), "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS"),
        (FAILED, "INTERNAL", "COMMAND_FAILED"),
        (CorruptLog("position 7 is missing"), "INTERNAL", "INTERNAL"),
        (ValueError("secret"), "INTERNAL", "INTERNAL"),
    ],
)
def test_each_error_has_its_status_and_reason(
    error: BaseException, code: str, reason: str
) -> None:
    answer = failure(error)
    assert (answer.code.name, answer.reason) == (code, reason)
    assert answer.details["ErrorInfo"].domain == "orderes"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_number_that_is_also_the_status(kind: Kind) -> None:
    error = Refusal(kind=kind, reason="ANY", message="no")
    assert status_of(error) == status_of(error.record()) == failure(error).code.value[0]


def test_no_fact_of_an_error_hides_what_the_edge_knows_of_the_call() -> None:
    error = Refusal(
        kind=Kind.NOT_FOUND,
        reason="ANY",
        message="no",
        facts={"correlation_id": "another", "command_id": "another", "due": "1"},
    )
    assert failure(error, call_about(command_id="c1")).metadata == {
        "correlation_id": "flow-1",
        "command_id": "c1",
        "due": "1",
    }


def test_the_metadata_holds_ids_rule_and_facts() -> None:
    call = call_about(command_id="c1", order_id=ORDER_ID)
    assert failure(rule_violated(), call).metadata == {
        "correlation_id": "flow-1",
        "command_id": "c1",
        "order_id": ORDER_ID,
        "rule": "OVERPAYMENT",
        "due": "1999",
    }


def test_the_correlation_id_is_a_trailer_too() -> None:
    assert failure(ShuttingDown()).trailers["x-correlation-id"] == "flow-1"


def test_a_rule_is_a_precondition_failure_about_what_the_command_is_about() -> None:
    call = call_about(command_id="c1", order_id=ORDER_ID)
    (violation,) = (
        failure(rule_violated(), call).details["PreconditionFailure"].violations
    )
    assert (violation.type, violation.subject, violation.description) == (
        "OVERPAYMENT",
        ORDER_ID,
        "too much",
    )


def test_a_refusal_without_a_rule_has_no_precondition_failure() -> None:
    assert set(failure(VersionMismatch(expected=1, actual=2)).details) == {"ErrorInfo"}


def test_every_wrong_field_is_named() -> None:
    violations = [FieldViolation("lines[3].quantity", "must be 1 to 10000")]
    violations.append(FieldViolation("customer_id", "required"))
    answer = failure(InvalidFields(violations))
    assert answer.violations == {
        "lines[3].quantity": "must be 1 to 10000",
        "customer_id": "required",
    }
    assert "violations_total" not in answer.metadata


def test_of_many_wrong_fields_the_first_20_are_named_and_all_are_counted() -> None:
    fields = [f"lines[{index}].product_id" for index in range(200)]
    answer = failure(
        InvalidFields([FieldViolation(field, "required") for field in fields])
    )
    assert list(answer.violations) == fields[:20]
    assert answer.metadata["violations_total"] == "200"


@pytest.mark.parametrize(
    "error",
    [
        queue_full(2.0),
        ShuttingDown(),
        StoreUnavailable(),
        TooManyCalls("too many", limit=4000),
        PositionNotReached(min_position=9, position=7, retry_delay_seconds=0.1),
        TooStale(
            max_staleness_seconds=2.0,
            lag_seconds=3.0,
            position=7,
            retry_delay_seconds=0.1,
        ),
        ProjectionRebuilding("orders", position=7, head_position=9),
    ],
)
def test_a_retry_delay_is_told_twice_and_alike(error: EventCoreError) -> None:
    asked = error.retry_delay_seconds
    assert asked is not None
    for _ in range(50):
        answer = failure(error)
        delay = answer.details["RetryInfo"].retry_delay.ToMilliseconds()
        assert answer.trailers["grpc-retry-pushback-ms"] == str(delay)
        assert 800 * asked <= delay <= 1200 * asked


def test_retry_delays_are_spread() -> None:
    delays = {
        failure(queue_full(10.0)).trailers["grpc-retry-pushback-ms"] for _ in range(50)
    }
    assert len(delays) > 10


def test_no_retry_delay_is_longer_than_30_seconds() -> None:
    assert failure(queue_full(3600.0)).trailers["grpc-retry-pushback-ms"] == "30000"


def test_an_error_that_waiting_does_not_help_asks_for_no_retry() -> None:
    answer = failure(rule_violated())
    assert "RetryInfo" not in answer.details
    assert "grpc-retry-pushback-ms" not in answer.trailers


@pytest.mark.parametrize("error", [ValueError("SECRET"), CorruptLog("SECRET")])
def test_a_fault_shows_the_ids_of_the_caller_and_nothing_of_itself(
    error: Exception,
) -> None:
    error.__cause__ = RuntimeError("SECRET")
    answer = answer_of(error, call_about(command_id="c1"), domain="orderes")
    assert answer.code is grpc.StatusCode.INTERNAL
    assert answer.message == "internal error; give the operator the correlation id"
    assert "SECRET" not in str(answer)
    details = failure_from(answer.code, answer.message, dict(answer.trailers))
    assert details.metadata == {"correlation_id": "flow-1", "command_id": "c1"}


def test_the_fault_of_a_stored_command_is_told_but_for_what_caused_it() -> None:
    answer = failure(FAILED, call_about(command_id="c1"))
    assert answer.message == "the command failed and is kept for an operator"
    assert answer.metadata == {
        "correlation_id": "flow-1",
        "command_id": "c1",
        "attempts": "5",
    }
    assert "ZeroDivisionError" not in str(answer)


def test_only_faults_that_nobody_has_logged_yet_are_logged() -> None:
    assert is_fault(ValueError())
    assert is_fault(CorruptLog("position 7 is missing"))
    assert not is_fault(FAILED)
    assert not is_fault(rule_violated())


def test_no_fact_of_a_refusal_hides_its_rule() -> None:
    error = Refusal(
        kind=Kind.PRECONDITION,
        reason="ANY",
        message="no",
        rule="OVERPAYMENT",
        facts={"rule": "another"},
    )
    assert failure(error).metadata["rule"] == "OVERPAYMENT"


ANY_TEXT = st.text(st.characters(), max_size=600)
VALID_TEXT = st.text(max_size=600)


@given(
    message=ANY_TEXT,
    rule=st.text(max_size=64),
    subject=st.dictionaries(st.sampled_from(["command_id", "order_id"]), ANY_TEXT),
    facts=st.dictionaries(st.text(min_size=1, max_size=64), ANY_TEXT, max_size=20),
)
def test_a_refusal_fits_into_the_trailers_whatever_it_says(
    message: str, rule: str, subject: dict[str, str], facts: dict[str, str]
) -> None:
    error = Refusal(
        kind=Kind.PRECONDITION, reason="ANY", message=message, rule=rule, facts=facts
    )
    assert_fits(error, call_about(**subject))


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=30))
def test_violations_fit_into_the_trailers_whatever_they_say(
    violations: list[tuple[str, str]],
) -> None:
    error = InvalidFields([FieldViolation(*violation) for violation in violations])
    assert_fits(error, call_about())


WIDE = "\U0001f4e6" * 600


def test_the_longest_refusal_fits_and_keeps_its_ids_and_rule() -> None:
    facts = {f"{index:02}" + "x" * 62: WIDE for index in range(20)}
    error = Refusal(
        kind=Kind.PRECONDITION,
        reason="ANY",
        message=WIDE,
        rule="OVERPAYMENT",
        facts=facts,
    )
    call = call_about(command_id=WIDE, order_id=ORDER_ID)
    assert_fits(error, call)
    metadata = failure(error, call).metadata
    assert (metadata["rule"], metadata["order_id"]) == ("OVERPAYMENT", ORDER_ID)


def test_the_longest_violations_fit_and_as_many_as_can_are_named() -> None:
    error = InvalidFields(
        [FieldViolation(f"{index}{WIDE}", WIDE) for index in range(30)]
    )
    assert_fits(error, call_about())
    answer = failure(error)
    assert 5 <= len(answer.violations) < 20
    assert answer.metadata["violations_total"] == "30"


def assert_fits(error: EventCoreError, call: Call) -> None:
    answer = answer_of(error, call, domain="orderes")
    details = dict(answer.trailers)["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert len(details) <= DETAILS_BYTES_MAX
    assert len(answer.message.encode()) <= MESSAGE_BYTES_MAX
    assert failure(error, call).metadata["correlation_id"] == "flow-1"


@given(VALID_TEXT, st.integers(min_value=3, max_value=700))
def test_a_cut_text_is_a_beginning_that_says_so(text: str, bytes_max: int) -> None:
    shown = cut(text, bytes_max)
    assert len(shown.encode()) <= bytes_max
    assert shown == text or text.startswith(shown.removesuffix("..."))


def test_a_lone_surrogate_is_no_fault() -> None:
    assert failure(rule_violated("\ud800")).message == "?"
