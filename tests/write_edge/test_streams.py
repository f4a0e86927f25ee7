"""StreamCommands: commands without a bound, answered in the order of completion."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from contexts.orders.write.streams import (
    COMMANDS_UNANSWERED_MAX,
    CommandExchange,
)
from eventcore.command_gateway import WaitFor
from eventcore.errors import (
    CommandIdReused,
    CorruptLog,
    ShuttingDown,
    StoreUnavailable,
    TooManyCalls,
)
from eventcore.messages import CommandStage, Lane
from eventcore.rpc.call import Call
from orderes.v1 import command_pb2, errors_pb2
from orderes.v1.command_service_pb2 import StreamCommandsRequest, StreamCommandsResponse
from tests.orders.examples import ORDER_ID
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import Failure, all_of, failure_of
from tests.write_edge.gateway import ScriptedGateway, edge
from tests.write_edge.test_batches import by_id, enveloped

MANY = 10_000
DEADLINE_SECONDS = 30.0
LONG_SECONDS = 30.0
METHOD = "/orderes.v1.CommandService/StreamCommands"


def numbered(sequence: int, *args: Any, **changes: Any) -> StreamCommandsRequest:
    """A message of a client."""
    command: Any = enveloped(*args, **changes)
    return StreamCommandsRequest(sequence=sequence, command=command)


async def each_of(*messages: StreamCommandsRequest) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def exchanged(
    gateway: ScriptedGateway, *messages: StreamCommandsRequest, metadata: Any = ()
) -> list[StreamCommandsResponse]:
    """The answers to messages after which the client ends its side."""
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands(each_of(*messages), metadata=metadata)
        return await all_of(call)


async def rest_of(call: Any) -> tuple[list[int], Failure | None]:
    """The sequences of all answers that are left, and what the stream ends with."""
    sequences: list[int] = []

    async def read() -> None:
        async for answer in call:
            sequences.append(answer.sequence)  # noqa: PERF401 (those before a failure count)

    reading = asyncio.create_task(read())
    await asyncio.wait([reading])
    if reading.exception() is None:
        return sequences, None
    return sequences, await failure_of(reading)


@pytest.mark.parametrize("name", FORMS)
async def test_every_command_can_be_sent(name: str) -> None:
    gateway = ScriptedGateway()
    (answer,) = await exchanged(gateway, numbered(7, name, command_id="c1"))
    assert answer.sequence == 7
    assert answer.result.command.type == name
    assert answer.result.command.command_id == "c1"
    (sent,) = gateway.sent
    assert (sent.wait_seconds, sent.wait_for) == (10.0, WaitFor.ACCEPTED)
    assert gateway.streams == 0


async def test_each_command_has_its_own_options() -> None:
    gateway = ScriptedGateway()
    options = {
        "wait_for": command_pb2.WAIT_FOR_COMMITTED,
        "lane": command_pb2.LANE_BULK,
        "max_wait": {"seconds": 3},
    }
    await exchanged(gateway, numbered(1, options=options), numbered(2))
    first, second = gateway.sent
    assert (first.wait_seconds, first.wait_for) == (3.0, WaitFor.COMMITTED)
    assert first.envelope.lane is Lane.BULK
    assert (second.wait_seconds, second.envelope.lane) == (10.0, Lane.NORMAL)


async def test_answers_come_in_the_order_of_completion() -> None:
    gateway = ScriptedGateway(held=True)
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        for sequence in (1, 2, 3):
            await call.write(numbered(sequence))
        await eventually(lambda: len(gateway.waiting) == 3)
        gateway.answer(2, 0)
        answers = [await call.read(), await call.read()]
        assert [answer.sequence for answer in answers] == [3, 1]
        await call.done_writing()
        gateway.answer()
        assert (await call.read()).sequence == 2
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_that_ends_is_answered_whole_before_it_is_ok() -> None:
    gateway = ScriptedGateway(held=True)
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands(each_of(numbered(1), numbered(2)))
        await eventually(lambda: len(gateway.waiting) == 2)
        assert not call.done()
        gateway.answer()
        assert await rest_of(call) == ([1, 2], None)


async def test_a_stream_without_a_command_is_ok() -> None:
    assert await exchanged(ScriptedGateway()) == []


async def test_each_command_has_a_result_of_its_own() -> None:
    gateway = by_id(
        {
            "refused": CommandStage.REFUSED,
            "accepted": CommandStage.ACCEPTED,
            "reused": CommandIdReused("reused"),
        }
    )
    ids = ["committed", "refused", "accepted", "reused"]
    answers = await exchanged(
        gateway, *(numbered(n, command_id=ids[n]) for n in range(4))
    )
    done, refused, accepted, reused = (answer.result for answer in answers)
    assert done.command.stage == command_pb2.COMMAND_STAGE_COMMITTED
    assert refused.command.error.rule == "OVERPAYMENT"
    assert accepted.command.stage == command_pb2.COMMAND_STAGE_ACCEPTED
    assert reused.error.reason == errors_pb2.ERROR_REASON_COMMAND_ID_REUSED
    assert dict(reused.error.metadata) == {
        "command_id": "reused",
        "order_id": ORDER_ID,
    }


async def test_a_fault_leaks_nothing_is_logged_and_the_stream_goes_on() -> None:
    gateway = by_id({"broken": CorruptLog("SECRET")})
    with capture_logs() as lines:
        answers = await exchanged(
            gateway, numbered(1, command_id="broken"), numbered(2)
        )
    error = answers[0].result.error
    assert (error.code, error.reason) == (13, errors_pb2.ERROR_REASON_INTERNAL)
    assert "SECRET" not in str(answers)
    assert answers[1].result.HasField("command")
    assert [line["event"] for line in lines] == ["rpc_failed"]


async def test_commands_come_from_where_their_stream_does_unless_they_say_more() -> (
    None
):
    gateway = ScriptedGateway()
    await exchanged(
        gateway,
        numbered(1),
        numbered(2, correlation_id="flow-2", causation_id="cause-2"),
        metadata=[("x-correlation-id", "flow-1"), ("x-causation-id", "cause-1")],
    )
    traces = [sent.envelope.trace for sent in gateway.sent]
    assert [(trace.correlation_id, trace.causation_id) for trace in traces] == [
        ("flow-1", "cause-1"),
        ("flow-2", "cause-2"),
    ]


async def test_a_command_can_be_validated_between_others() -> None:
    gateway = by_id({"c2": CommandStage.VALIDATED})
    options = {"validate_only": True}
    answers = await exchanged(
        gateway, numbered(1), numbered(2, command_id="c2", options=options)
    )
    stages = {answer.sequence: answer.result.command.stage for answer in answers}
    assert stages[2] == command_pb2.COMMAND_STAGE_VALIDATED
    assert [sent.wait_for for sent in gateway.sent] == [WaitFor.ACCEPTED, None]


async def test_a_validation_that_fails_is_the_answer_to_its_command() -> None:
    gateway = ScriptedGateway()
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        await call.write(numbered(1))
        await call.read()
        gateway.error = StoreUnavailable()
        await call.write(numbered(2, options={"validate_only": True}))
        answer = await call.read()
    assert answer.sequence == 2
    assert answer.result.error.reason == errors_pb2.ERROR_REASON_STORE_UNAVAILABLE
    assert answer.result.error.HasField("retry_delay")


# Form.


async def test_a_fault_of_form_is_the_answer_to_its_command_and_the_rest_goes_on() -> (
    None
):
    gateway = ScriptedGateway()
    answers = await exchanged(
        gateway,
        numbered(
            1,
            command_id="c1",
            order_id="x",
            lines=[],
            options={"lane": 9},
            causation_id="\0",
        ),
        StreamCommandsRequest(sequence=2),
        numbered(3),
    )
    results = {answer.sequence: answer.result for answer in answers}
    error = results[1].error
    assert (error.code, error.reason) == (3, errors_pb2.ERROR_REASON_INVALID_FIELDS)
    assert dict(error.metadata) == {
        "command_id": "c1",
        "command.causation_id": "must be 1 to 128 printable ASCII characters",
        "command.order_id": "must be a UUID, like 0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b",
        "command.lines": "required: 1 to 200 lines",
        "command.options.lane": "is 9, which is no Lane",
    }
    assert "command.order_id" in error.message
    assert dict(results[2].error.metadata) == {"command": "required: a command"}
    assert results[3].HasField("command")
    ((name, command_id, _, fields),) = gateway.turned
    assert (name, command_id, len(fields)) == ("PlaceOrder", "c1", 4)


async def test_of_many_faults_in_a_command_the_first_20_are_named() -> None:
    (answer,) = await exchanged(ScriptedGateway(), numbered(1, lines=[{}] * 100))
    metadata = answer.result.error.metadata
    assert metadata["violations_total"] == "300"
    assert sum(name.startswith("command.") for name in metadata) == 20


async def test_wrong_metadata_of_a_stream_is_the_error_of_the_call() -> None:
    async with edge() as running:
        call: Any = running.stub.StreamCommands(metadata=[("x-causation-id", "")])
        _, failure = await rest_of(call)
    assert failure is not None
    assert list(failure.violations) == ["x-causation-id"]


@pytest.mark.parametrize(
    ("raw", "description"),
    [
        (b"\xff\xff\xff", "must be a protobuf message of the method's type"),
        (b"x" * 1_048_577, "has 1048577 bytes, at most 1048576 are allowed"),
    ],
    ids=["malformed", "too long"],
)
async def test_a_message_that_cannot_be_read_ends_the_stream_after_the_answers(
    raw: bytes, description: str
) -> None:
    gateway = ScriptedGateway(held=True)
    async with edge(gateway) as running:
        made: Any = running.host.channel
        call = made.stream_stream(
            METHOD, response_deserializer=StreamCommandsResponse.FromString
        )()
        await call.write(numbered(1).SerializeToString())
        await call.write(raw)
        await eventually(lambda: len(gateway.waiting) == 1)
        gateway.answer()
        sequences, failure = await rest_of(call)
    assert sequences == [1]
    assert failure is not None
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.violations == {"request": description}


# How a stream ends otherwise.


async def test_as_many_streams_as_there_may_be_is_an_error_of_the_call() -> None:
    gateway = ScriptedGateway(error=TooManyCalls("100 streams", limit=100))
    async with edge(gateway) as running:
        _, failure = await rest_of(running.stub.StreamCommands())
    assert failure is not None
    assert (failure.code, failure.reason, failure.metadata["limit"]) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_CALLS",
        "100",
    )
    assert "grpc-retry-pushback-ms" in failure.trailers


async def test_a_drain_answers_what_was_taken_in_and_ends_the_stream() -> None:
    gateway = ScriptedGateway(held=True)
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        await call.write(numbered(1))
        await call.write(numbered(2))
        await eventually(lambda: len(gateway.waiting) == 2)
        stopping = asyncio.create_task(
            running.host.server.stop(grace_seconds=LONG_SECONDS)
        )
        await eventually(lambda: running.host.server._calls.draining)
        assert not call.done()
        gateway.answer()
        sequences, failure = await rest_of(call)
        await stopping
    assert sequences == [1, 2]
    assert failure is not None
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "SHUTTING_DOWN",
    )
    assert gateway.streams == 0


@pytest.mark.parametrize("is_full", [False, True], ids=["idle", "waiting for room"])
async def test_a_drain_ends_a_stream_of_which_nothing_is_taken_in(
    *, is_full: bool
) -> None:
    gateway = ScriptedGateway()
    if is_full:
        gateway.room.clear()
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        await eventually(lambda: gateway.streams == 1)
        if is_full:
            await call.write(numbered(1))
        stopping = asyncio.create_task(
            running.host.server.stop(grace_seconds=LONG_SECONDS)
        )
        sequences, failure = await rest_of(call)
        await asyncio.wait_for(stopping, DEADLINE_SECONDS)
    assert sequences == []
    assert failure is not None
    assert failure.reason == "SHUTTING_DOWN"
    assert gateway.sent == []


async def test_a_gateway_that_drains_ends_the_stream_after_the_answers() -> None:
    gateway = ScriptedGateway(held=True)
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        await call.write(numbered(1))
        await eventually(lambda: len(gateway.waiting) == 1)
        gateway.error = ShuttingDown()
        await call.write(numbered(2))
        await eventually(lambda: len(gateway.sent) == 2)
        gateway.answer()
        sequences, failure = await rest_of(call)
    assert sequences == [1]
    assert failure is not None
    assert failure.reason == "SHUTTING_DOWN"


async def test_a_client_that_goes_leaves_the_stream_of_the_gateway() -> None:
    gateway = ScriptedGateway(held=True)
    with capture_logs() as lines:
        async with edge(gateway) as running:
            call: Any = running.stub.StreamCommands()
            await call.write(numbered(1))
            await eventually(lambda: len(gateway.waiting) == 1)
            call.cancel()
            await eventually(lambda: gateway.streams == 0)
            gateway.answer()
            await eventually(lambda: not running.host.server._calls._tasks)
    assert lines == []


# Flow control.


async def test_a_stream_goes_on_for_as_long_as_its_client_reads() -> None:
    count = 4 * COMMANDS_UNANSWERED_MAX
    gateway = ScriptedGateway()
    answers = await exchanged(gateway, *(numbered(n) for n in range(count)))
    assert [answer.sequence for answer in answers] == list(range(count))


async def test_a_client_that_is_ahead_of_the_answers_is_held_back() -> None:
    gateway = ScriptedGateway(held=True)
    message = numbered(1)
    async with edge(gateway) as running:
        call: Any = running.stub.StreamCommands()
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(MANY):
                await call.write(message)
                written += 1

        writing = asyncio.create_task(write())
        await eventually(lambda: len(gateway.sent) == COMMANDS_UNANSWERED_MAX)
        await standing_still(lambda: written)
        assert len(gateway.sent) == COMMANDS_UNANSWERED_MAX
        # The rest of what was written is in buffers of the transport, which are bounded.
        assert written < MANY / 2
        # As it is read it may send more.
        gateway.answer()
        await call.read()
        await eventually(lambda: len(gateway.sent) == 2 * COMMANDS_UNANSWERED_MAX)
        writing.cancel()
        call.cancel()


async def standing_still(count: Any) -> None:
    """Returns when a count has not changed for a while."""
    seen = -1
    while seen != count():
        seen = count()
        await asyncio.sleep(0.05)


async def test_answers_that_are_not_sent_hold_a_client_back_as_well() -> None:
    gateway = ScriptedGateway()
    exchange = CommandExchange(
        gateway=gateway,
        stream=gateway,
        new_order_id=an_id,
        call=Call(method=METHOD, correlation_id="flow-1"),
    )

    async def endless() -> AsyncIterator[StreamCommandsRequest]:
        message = numbered(1)
        while True:
            yield message

    async def taken_in() -> int:
        """How many, after there was time for more."""
        for _ in range(10 * COMMANDS_UNANSWERED_MAX):
            await asyncio.sleep(0)
        return len(gateway.sent)

    async with aclosing(exchange.answers(endless())) as answers:
        await anext(answers)
        assert await taken_in() == COMMANDS_UNANSWERED_MAX
        await anext(answers)  # With it the first one is sent.
        assert await taken_in() == COMMANDS_UNANSWERED_MAX + 1
