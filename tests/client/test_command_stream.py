"""A stream of commands comes back from wherever it breaks: each is answered, and done, once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from orderes.client import (
    Client,
    CommandStreamAnswer,
    InternalFault,
    InvalidFields,
    OrderesError,
    Outcome,
    Position,
    RuleViolated,
)
from orderes.client.command_stream import COMMANDS_UNANSWERED_MAX
from orderes.v1.command_pb2 import (
    COMMAND_STAGE_REFUSED,
    LANE_BULK,
    WAIT_FOR_ACCEPTED,
    WAIT_FOR_COMMITTED,
    Command,
    CommandOptions,
)
from orderes.v1.command_service_pb2 import (
    CommandEnvelope,
    CommandResult,
    DeliverOrderRequest,
    GetCommandResponse,
    StreamCommandsRequest,
    StreamCommandsResponse,
)
from orderes.v1.errors_pb2 import (
    ERROR_REASON_INTERNAL,
    ERROR_REASON_RULE_VIOLATED,
    ERROR_REASON_STORE_UNAVAILABLE,
    CommandError,
)
from tests.client.conftest import QUICK
from tests.client.event_log import Break
from tests.client.examples import (
    GONE,
    ORDER_ID,
    SHUTTING_DOWN,
    STORE,
    Code,
    bare,
    receipt,
    refused,
)
from tests.client.scripted import Script, scripted_server
from tests.support.eventually import eventually

PASSING = [GONE, SHUTTING_DOWN, bare(Code.CANCELLED), None]
UNAVAILABLE = CommandError(
    code=Code.UNAVAILABLE.value[0], reason=ERROR_REASON_STORE_UNAVAILABLE
)


@dataclass(slots=True)
class Executor:
    """Speaks StreamCommands as the contract has it, and breaks as it is told to."""

    breaks: Sequence[Break] = ()
    """Of the first streams: after so many answers, with the command after them already done."""
    errors: dict[str, CommandError] = field(default_factory=dict)
    """In place of the first answer to a command, by its id."""
    effects: dict[str, int] = field(default_factory=dict)
    """Positions, by command_id."""
    streams: list[list[str]] = field(default_factory=list)
    """The command_ids that came, by stream."""

    async def stream(
        self, requests: AsyncIterator[StreamCommandsRequest], _: Any
    ) -> AsyncIterator[StreamCommandsResponse | Status]:
        number, came = len(self.streams), list[str]()
        self.streams.append(came)
        broken = self.breaks[number] if number < len(self.breaks) else None
        if broken is not None and broken.after_messages == 0:
            if broken.status is not None:
                yield broken.status
            return
        async for request in requests:
            command_id = request.command.deliver_order.command_id
            came.append(command_id)
            position = self.effects.setdefault(command_id, len(self.effects) + 1)
            if broken is not None and len(came) == broken.after_messages:
                if broken.status is not None:
                    yield broken.status
                return
            yield self._answer(request.sequence, command_id, position)

    def _answer(
        self, sequence: int, command_id: str, position: int
    ) -> StreamCommandsResponse:
        result = CommandResult(command=receipt(position, command_id=command_id))
        if command_id in self.errors:
            result = CommandResult(error=self.errors.pop(command_id))
        return StreamCommandsResponse(sequence=sequence, result=result)


def commands(count: int) -> list[DeliverOrderRequest]:
    return [
        DeliverOrderRequest(order_id=ORDER_ID, command_id=f"c-{number}")
        for number in range(count)
    ]


def ids(count: int) -> list[str]:
    return [command.command_id for command in commands(count)]


async def note_answers(
    answers: AsyncIterator[CommandStreamAnswer], answered: list[str]
) -> None:
    async for answer in answers:
        answered.append(answer.command_id)  # noqa: PERF401  # Up to an error.


async def ids_answered(answers: AsyncIterator[CommandStreamAnswer]) -> list[str]:
    return [answer.command_id async for answer in answers]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 20),
    breaks=st.lists(
        st.builds(Break, st.integers(0, 8), st.sampled_from(PASSING)), max_size=8
    ),
    is_slow=st.booleans(),
)
async def test_whatever_the_breaks_each_command_is_answered_and_done_once(
    count: int, breaks: list[Break], *, is_slow: bool
) -> None:
    async def slowly() -> AsyncIterator[DeliverOrderRequest]:
        for command in commands(count):
            yield command
            await asyncio.sleep(0)

    executor = Executor(breaks)
    async with scripted_server() as script:
        script.on("StreamCommands", executor.stream)
        async with Client(script.address, script.address, retries=QUICK) as client:
            source = slowly() if is_slow else commands(count)
            answered = await ids_answered(client.stream_commands(source))

    assert answered == ids(count)
    # In their order, so that they are done in it: each stream begins with what is not answered.
    assert list(executor.effects) == ids(count)
    for came in executor.streams:
        assert came == sorted(came, key=ids(count).index)
    if not count:
        assert not executor.streams


async def test_commands_are_sent_with_ids_and_with_what_is_said_of_their_handling(
    client: Client, script: Script
) -> None:
    requests: list[StreamCommandsRequest] = []

    async def stream(came: Any, context: Any) -> AsyncIterator[Any]:
        async for request in came:
            requests.append(request)
            yield StreamCommandsResponse(
                sequence=request.sequence, result=CommandResult(command=receipt(7))
            )

    script.on("StreamCommands", stream)
    own = CommandOptions(wait_for=WAIT_FOR_ACCEPTED)
    envelope = CommandEnvelope(
        deliver_order=DeliverOrderRequest(
            order_id=ORDER_ID, command_id="c-2", options=own
        ),
        correlation_id="flow-2",
    )

    answers = client.stream_commands(
        [DeliverOrderRequest(order_id=ORDER_ID), envelope],
        lane=LANE_BULK,
        correlation_id="flow-1",
    )
    first, second = [answer async for answer in answers]

    assert first.command == requests[0].command
    assert first.command_id[14] == "7"
    assert first.command.deliver_order.options == CommandOptions(
        wait_for=WAIT_FOR_COMMITTED, lane=LANE_BULK
    )
    assert second.command == requests[1].command == envelope
    assert second.command_id == "c-2"
    assert second.result.command == receipt(7)
    (call,) = script.calls["StreamCommands"]
    assert call.metadata["x-correlation-id"] == "flow-1"
    assert client.position == Position(position=7, store_id=STORE)


async def test_a_command_that_is_refused_is_answered_with_its_error(
    client: Client, script: Script
) -> None:
    error = CommandError(
        code=Code.FAILED_PRECONDITION.value[0],
        reason=ERROR_REASON_RULE_VIOLATED,
        rule="INVALID_ORDER_STATE",
    )
    refusal = receipt(0, stage=COMMAND_STAGE_REFUSED, error=error, command_id="c-0")

    async def stream(came: Any, context: Any) -> AsyncIterator[Any]:
        async for request in came:
            yield StreamCommandsResponse(
                sequence=request.sequence, result=CommandResult(command=refusal)
            )

    script.on("StreamCommands", stream)

    (answer,) = [answer async for answer in client.stream_commands(commands(1))]

    assert isinstance(answer.error, RuleViolated)
    assert answer.error.rule == "INVALID_ORDER_STATE"
    assert answer.error.command_id == "c-0"


async def test_a_command_whose_answer_may_pass_is_sent_again(
    client: Client, script: Script
) -> None:
    executor = Executor(errors={"c-1": UNAVAILABLE, "c-3": UNAVAILABLE})
    script.on("StreamCommands", executor.stream)

    answers = [answer async for answer in client.stream_commands(commands(5))]

    assert [answer.command_id for answer in answers] == ids(5)
    assert [answer.error for answer in answers] == [None] * 5
    assert len(executor.streams) > 1
    assert len(executor.effects) == 5


async def test_a_fault_of_the_server_is_the_answer_to_its_command(
    client: Client, script: Script
) -> None:
    fault = CommandError(code=Code.INTERNAL.value[0], reason=ERROR_REASON_INTERNAL)
    executor = Executor(errors={"c-1": fault})
    script.on("StreamCommands", executor.stream)

    answers = [answer async for answer in client.stream_commands(commands(3))]

    errors = [type(answer.error) for answer in answers]
    assert errors == [type(None), InternalFault, type(None)]
    assert len(executor.streams) == 1


async def test_no_more_commands_are_taken_than_may_be_without_an_answer(
    client: Client, script: Script
) -> None:
    taken = 0
    answer_now = asyncio.Event()

    async def endless() -> AsyncGenerator[DeliverOrderRequest, None]:
        nonlocal taken
        while True:
            taken += 1
            yield DeliverOrderRequest(order_id=ORDER_ID)

    came: list[int] = []

    async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            came.append(request.sequence)
            if len(came) == COMMANDS_UNANSWERED_MAX:
                break
        await answer_now.wait()
        yield StreamCommandsResponse(
            sequence=1, result=CommandResult(command=Command())
        )
        await asyncio.Event().wait()

    script.on("StreamCommands", stream)
    answers = client.stream_commands(endless())
    first = asyncio.ensure_future(anext(answers))
    await eventually(lambda: len(came) == COMMANDS_UNANSWERED_MAX)
    # One more is in hand, and waits for room.
    assert taken == COMMANDS_UNANSWERED_MAX + 1

    answer_now.set()
    await first
    await eventually(lambda: taken == COMMANDS_UNANSWERED_MAX + 2)
    await answers.aclose()


async def test_the_callers_iterator_is_not_disturbed_by_a_break(
    client: Client, script: Script
) -> None:
    """A stream that breaks while the caller's next command is not there yet must not cost it."""
    executor = Executor([Break(2, GONE)])
    script.on("StreamCommands", executor.stream)
    more = asyncio.Event()

    async def source() -> AsyncIterator[DeliverOrderRequest]:
        for command in commands(2):
            yield command
        await more.wait()
        yield commands(3)[2]

    answers = client.stream_commands(source())
    assert [(await anext(answers)).command_id for _ in range(2)] == ids(2)
    assert len(executor.streams) == 2

    more.set()
    assert await ids_answered(answers) == ["c-2"]


async def test_a_stream_without_commands_opens_no_call_when_it_comes_back(
    client: Client, script: Script
) -> None:
    break_now, more = asyncio.Event(), asyncio.Event()
    executor = Executor()

    async def breaking(requests: Any, context: Any) -> AsyncIterator[Any]:
        request = await anext(requests)
        yield executor._answer(request.sequence, "c-0", 1)
        await break_now.wait()
        yield GONE

    script.on("StreamCommands", breaking, executor.stream)
    script.on("GetCommand", GetCommandResponse())

    async def source() -> AsyncIterator[DeliverOrderRequest]:
        yield commands(1)[0]
        await more.wait()
        yield commands(2)[1]

    answers = client.stream_commands(source())
    await anext(answers)
    last = asyncio.ensure_future(anext(answers))
    break_now.set()
    await eventually(lambda: not _streams_open(script))
    # What comes over the same connection now comes after the news that the stream broke.
    await client.get_command(command_id="c-0")
    assert len(script.calls["StreamCommands"]) == 1

    more.set()
    assert (await last).command_id == "c-1"
    assert len(script.calls["StreamCommands"]) == 2
    await answers.aclose()


def _streams_open(script: Script) -> bool:
    return script.open > 0


async def test_what_breaks_the_callers_iterator_is_raised_after_the_answers(
    client: Client, script: Script
) -> None:
    script.on("StreamCommands", Executor().stream)

    async def source() -> AsyncIterator[DeliverOrderRequest]:
        for command in commands(3):
            yield command
        raise LookupError("no more of them")

    answered: list[str] = []
    with pytest.raises(LookupError, match="no more of them"):
        await note_answers(client.stream_commands(source()), answered)

    assert answered == ids(3)


async def test_it_gives_up_after_too_long_without_an_answer_and_names_the_commands(
    client: Client, script: Script
) -> None:
    script.on(
        "StreamCommands", Executor([Break(3, GONE), *[Break(0, GONE)] * 999]).stream
    )
    answers = client.stream_commands(commands(4), give_up_seconds=0.1)

    answered: list[str] = []
    with pytest.raises(OrderesError) as raised:
        await note_answers(answers, answered)

    assert raised.value.retryable
    assert raised.value.outcome is Outcome.UNKNOWN
    assert answered + list(raised.value.command_ids) == ids(4)
    assert len(raised.value.command_ids) > 1
    assert raised.value.command_id == ""


async def test_what_does_not_pass_is_raised(client: Client, script: Script) -> None:
    malformed = refused(Code.INVALID_ARGUMENT, "INVALID_FIELDS")
    script.on("StreamCommands", malformed)

    with pytest.raises(InvalidFields) as raised:
        await ids_answered(client.stream_commands(commands(2)))

    assert set(raised.value.command_ids) <= set(ids(2))


async def test_leaving_the_stream_ends_its_call_and_the_callers_iterator(
    client: Client, script: Script
) -> None:
    script.on("StreamCommands", Executor().stream)
    ended = asyncio.Event()

    async def source() -> AsyncIterator[DeliverOrderRequest]:
        try:
            yield commands(1)[0]
            await asyncio.Event().wait()
        finally:
            ended.set()

    async for answer in client.stream_commands(source()):
        assert answer.command_id == "c-0"
        break

    await asyncio.wait_for(ended.wait(), 5)
    await eventually(lambda: not _streams_open(script))


async def test_an_answer_that_is_none_of_its_commands_is_passed_over(
    client: Client, script: Script
) -> None:
    async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            for sequence in (99, request.sequence, request.sequence):
                yield StreamCommandsResponse(
                    sequence=sequence, result=CommandResult(command=receipt(1))
                )

    script.on("StreamCommands", stream)

    assert await ids_answered(client.stream_commands(commands(3))) == ids(3)


async def test_a_server_that_does_not_end_the_stream_is_not_waited_for_long(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderes.client.command_stream.ENDING_SECONDS_MAX", 0.05)

    async def stream(requests: Any, context: Any) -> AsyncIterator[Any]:
        request = await anext(requests)
        yield StreamCommandsResponse(
            sequence=request.sequence, result=CommandResult(command=receipt(1))
        )
        await asyncio.Event().wait()

    script.on("StreamCommands", stream)

    async with asyncio.timeout(5):
        assert await ids_answered(client.stream_commands(commands(1))) == ["c-0"]


async def test_an_empty_envelope_ends_the_stream_with_an_error(
    client: Client, script: Script
) -> None:
    script.on("StreamCommands", Executor().stream)

    with pytest.raises(ValueError, match="no command"):
        await ids_answered(client.stream_commands([CommandEnvelope()]))


async def test_an_unknown_answer_is_an_error_with_the_class_of_all(
    client: Client, script: Script
) -> None:
    script.on("StreamCommands", bare(Code.UNKNOWN))

    with pytest.raises(OrderesError) as raised:
        await ids_answered(client.stream_commands(commands(1)))

    assert type(raised.value) is OrderesError
