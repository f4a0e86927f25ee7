"""What is repeated, what is not, and when."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from google.rpc.status_pb2 import Status

from orderes.client import (
    CallReset,
    Client,
    CommandQueueFull,
    InternalFault,
    OrderesError,
    Outcome,
    ProjectionLagging,
    RetryPolicy,
    ShuttingDown,
    TooManyCalls,
    Unavailable,
)
from orderes.v1.command_service_pb2 import (
    CommandResult,
    DeliverOrderResponse,
    SubmitCommandsResponse,
)
from orderes.v1.errors_pb2 import (
    ERROR_REASON_COMMAND_FAILED,
    ERROR_REASON_INTERNAL,
    ERROR_REASON_STORE_UNAVAILABLE,
    CommandError,
)
from orderes.v1.query_service_pb2 import GetOrderResponse
from tests.cli.scripted import PUSHBACK_KEY, WIRE_ROUNDING_SECONDS, refusal
from tests.client.conftest import QUICK
from tests.client.examples import (
    GONE,
    LAGGING,
    ORDER_ID,
    QUEUE_FULL,
    SHUTTING_DOWN,
    Code,
    bare,
    receipt,
    refused,
)
from tests.client.scripted import Script
from tests.support.processes import free_address

DONE = DeliverOrderResponse(command=receipt(7))
TOO_MANY_CALLS = refused(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
STORE_UNAVAILABLE = refused(Code.UNAVAILABLE, "STORE_UNAVAILABLE")
FAULT = refused(Code.INTERNAL, "INTERNAL")
RESET = bare(Code.CANCELLED)


async def deliver(client: Client, **options: Any) -> DeliverOrderResponse:
    return await client.deliver_order(order_id=ORDER_ID, **options)


async def error_of_delivering(
    client: Client, script: Script, *answers: Status, **options: Any
) -> OrderesError:
    script.on("DeliverOrder", *answers)
    with pytest.raises(OrderesError) as raised:
        await deliver(client, **options)
    return raised.value


@pytest.mark.parametrize(
    "passing",
    [
        GONE,
        SHUTTING_DOWN,
        STORE_UNAVAILABLE,
        QUEUE_FULL,
        TOO_MANY_CALLS,
        RESET,
        FAULT,
        bare(Code.INTERNAL),
        # Whatever is exhausted: the server itself says when to come back.
        refusal(
            Code.RESOURCE_EXHAUSTED,
            "too much",
            reason="OF_A_NEWER_SERVER",
            retry_seconds=0.001,
        ),
    ],
)
async def test_what_may_pass_is_repeated_with_the_same_content(
    client: Client, script: Script, passing: Status
) -> None:
    script.on("DeliverOrder", passing, passing, DONE)

    assert await deliver(client) == DONE

    first, *others = script.requests("DeliverOrder")
    assert first.command_id
    assert others == [first, first]


@pytest.mark.parametrize(
    "final",
    [
        refused(Code.INVALID_ARGUMENT, "INVALID_FIELDS"),
        refused(Code.ALREADY_EXISTS, "COMMAND_ID_REUSED"),
        refused(Code.NOT_FOUND, "ORDER_NOT_FOUND"),
        refused(Code.ABORTED, "VERSION_MISMATCH"),
        refused(Code.FAILED_PRECONDITION, "RULE_VIOLATED"),
        refused(Code.INTERNAL, "COMMAND_FAILED"),
        refused(Code.FAILED_PRECONDITION, "COMMAND_DISCARDED"),
        bare(Code.ABORTED),
        bare(Code.DEADLINE_EXCEEDED),
        bare(Code.UNIMPLEMENTED),
        bare(Code.UNKNOWN),
        # Of the library: a message that is too large stays so.
        bare(Code.RESOURCE_EXHAUSTED),
        refused(Code.RESOURCE_EXHAUSTED, "OF_A_NEWER_SERVER"),
    ],
)
async def test_what_is_final_is_not_repeated(
    client: Client, script: Script, final: Status
) -> None:
    error = await error_of_delivering(client, script, final)

    assert error.message == final.message
    assert len(script.calls["DeliverOrder"]) == 1


async def test_a_fault_of_the_server_is_repeated_twice(
    client: Client, script: Script
) -> None:
    error = await error_of_delivering(client, script, FAULT, GONE, FAULT, FAULT, FAULT)

    assert isinstance(error, InternalFault)
    assert len(script.calls["DeliverOrder"]) == 4


async def test_attempts_are_bounded(script: Script) -> None:
    retries = RetryPolicy(attempts_max=3, backoff_seconds=0, backoff_seconds_max=0)
    async with Client(script.address, script.address, retries=retries) as client:
        error = await error_of_delivering(client, script, SHUTTING_DOWN)

    assert isinstance(error, ShuttingDown)
    assert len(script.calls["DeliverOrder"]) == 3


async def test_all_attempts_have_one_deadline(client: Client, script: Script) -> None:
    script.trailers = ((PUSHBACK_KEY, "700"),)
    loop = asyncio.get_running_loop()
    began = loop.time()

    error = await error_of_delivering(
        client, script, GONE, timeout_seconds=1.3, command_id="c-1"
    )

    # There is no time for another attempt. The last answer says more than that the time is over.
    assert isinstance(error, Unavailable)
    assert error.command_id == "c-1"
    assert loop.time() - began < 1.3
    calls = script.calls["DeliverOrder"]
    assert len(calls) > 1
    for call in calls:
        left = began + 1.3 - call.time
        assert call.seconds_left <= left + WIRE_ROUNDING_SECONDS


async def test_the_server_says_how_long_to_wait(client: Client, script: Script) -> None:
    full = refusal(
        Code.RESOURCE_EXHAUSTED,
        "full",
        reason="COMMAND_QUEUE_FULL",
        retry_seconds=0.12,
    )
    script.on("DeliverOrder", full, full, DONE)

    await deliver(client)

    times = [call.time for call in script.calls["DeliverOrder"]]
    assert all(later - earlier >= 0.119 for earlier, later in pairwise(times))


async def test_a_pushback_counts_without_details_too(
    client: Client, script: Script
) -> None:
    script.trailers = ((PUSHBACK_KEY, "120"),)
    script.on("DeliverOrder", GONE, DONE)

    await deliver(client)

    first, second = (call.time for call in script.calls["DeliverOrder"])
    assert second - first >= 0.119


async def test_a_server_that_asks_not_to_come_back_is_left_alone(
    client: Client, script: Script
) -> None:
    script.trailers = ((PUSHBACK_KEY, "-1"),)

    error = await error_of_delivering(client, script, SHUTTING_DOWN)

    assert len(script.calls["DeliverOrder"]) == 1
    assert error.retry_delay_seconds is None


async def test_nobody_waits_longer_than_the_deadline(
    client: Client, script: Script
) -> None:
    later = refusal(
        Code.RESOURCE_EXHAUSTED, "full", reason="COMMAND_QUEUE_FULL", retry_seconds=60
    )

    error = await error_of_delivering(client, script, later, timeout_seconds=20)

    assert isinstance(error, CommandQueueFull)
    assert error.outcome is Outcome.NOT_ACCEPTED
    assert error.retry_delay_seconds == 60


async def test_a_full_queue_after_a_lost_attempt_leaves_the_outcome_open(
    script: Script,
) -> None:
    retries = RetryPolicy(attempts_max=2, backoff_seconds=0, backoff_seconds_max=0)
    async with Client(script.address, script.address, retries=retries) as client:
        lost = await error_of_delivering(client, script, GONE, QUEUE_FULL)
        full = await error_of_delivering(client, script, TOO_MANY_CALLS, QUEUE_FULL)
        refusal_ = refused(Code.ABORTED, "VERSION_MISMATCH")
        settled = await error_of_delivering(client, script, GONE, refusal_)

    assert isinstance(lost, CommandQueueFull)
    assert lost.outcome is Outcome.UNKNOWN
    assert full.outcome is Outcome.NOT_ACCEPTED
    assert settled.outcome is Outcome.REFUSED


async def test_a_query_waits_for_the_read_model_until_its_deadline(
    client: Client, script: Script
) -> None:
    script.on("GetOrder", *[LAGGING] * 15, GetOrderResponse())

    await client.get_order(order_id=ORDER_ID)

    assert len(script.calls["GetOrder"]) == 16


async def test_a_query_that_says_how_long_to_wait_is_told_not_yet(
    client: Client, script: Script
) -> None:
    script.on("GetOrder", GONE, LAGGING)

    with pytest.raises(ProjectionLagging):
        await client.get_order(order_id=ORDER_ID, max_wait_seconds=0.5)

    assert len(script.calls["GetOrder"]) == 2


async def test_nobody_who_listens_is_an_error_with_the_command_id() -> None:
    address = free_address()
    async with Client(address, address, retries=QUICK) as client:
        with pytest.raises(Unavailable) as raised:
            await deliver(client)

    assert raised.value.outcome is Outcome.UNKNOWN
    assert raised.value.command_id
    assert raised.value.reason == ""


async def test_a_batch_is_repeated_while_a_command_in_it_may_pass(
    client: Client, script: Script
) -> None:
    open_ = CommandError(
        code=Code.UNAVAILABLE.value[0], reason=ERROR_REASON_STORE_UNAVAILABLE
    )
    done = CommandResult(command=receipt(3))
    last = SubmitCommandsResponse(results=[done, done])
    script.on(
        "SubmitCommands",
        SubmitCommandsResponse(results=[done, CommandResult(error=open_)]),
        last,
    )

    assert await client.submit_commands([]) == last

    first, second = script.requests("SubmitCommands")
    assert first == second


@pytest.mark.parametrize("reason", [ERROR_REASON_COMMAND_FAILED, ERROR_REASON_INTERNAL])
async def test_a_batch_is_not_repeated_for_what_is_final(
    client: Client, script: Script, reason: Any
) -> None:
    failed = CommandError(code=Code.INTERNAL.value[0], reason=reason)
    answer = SubmitCommandsResponse(results=[CommandResult(error=failed)])
    script.on("SubmitCommands", answer)

    assert await client.submit_commands([]) == answer

    assert len(script.calls["SubmitCommands"]) == 1


async def test_a_batch_whose_time_is_over_says_of_each_command_how_it_went(
    client: Client, script: Script
) -> None:
    open_ = CommandError(
        code=Code.UNAVAILABLE.value[0], reason=ERROR_REASON_STORE_UNAVAILABLE
    )
    open_.retry_delay.FromSeconds(60)  # That is beyond the deadline.
    answer = SubmitCommandsResponse(
        results=[CommandResult(command=receipt(3)), CommandResult(error=open_)]
    )
    script.on("SubmitCommands", answer)

    assert await client.submit_commands([], timeout_seconds=20) == answer
    assert client.position is not None


@pytest.mark.parametrize(
    "numbers",
    [
        {"attempts_max": 0},
        {"fault_attempts_max": 0},
        {"backoff_seconds": -1.0},
        {"backoff_seconds": 3.0},
        {"backoff_seconds_max": float("inf")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(numbers: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**numbers)


@pytest.mark.parametrize(
    ("status", "expected"), [(RESET, CallReset), (TOO_MANY_CALLS, TooManyCalls)]
)
async def test_what_does_not_pass_is_raised_as_what_it_is(
    script: Script, status: Status, expected: type[OrderesError]
) -> None:
    once = RetryPolicy(attempts_max=1)
    async with Client(script.address, script.address, retries=once) as client:
        error = await error_of_delivering(client, script, status)

    assert type(error) is expected
    assert error.retryable
