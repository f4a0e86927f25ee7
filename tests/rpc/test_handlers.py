"""What happens around every call, over the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from structlog.testing import capture_logs

from eventcore.errors import CommandNotFound, ShuttingDown
from eventcore.fields import FieldFaults
from eventcore.rpc.call import Call, current_call
from tests.support.rpc import (
    TEXTS,
    TextsStub,
    all_of,
    failure_of,
    running,
    stream_of,
    text,
    texts,
)

MALFORMED = b"\xff\xff\xff"
DEADLINE_SECONDS = 10.0

Behaviour = Callable[[Any, Any], Awaitable[Any]]


async def echo(request: StringValue, _context: Any) -> StringValue:
    return request


async def twice(request: StringValue, _context: Any) -> AsyncIterator[StringValue]:
    yield request
    yield request


async def joined(requests: AsyncIterator[StringValue], _context: Any) -> StringValue:
    return StringValue(value="+".join([request.value async for request in requests]))


async def each(
    requests: AsyncIterator[StringValue], _context: Any
) -> AsyncIterator[StringValue]:
    async for request in requests:
        yield request


ECHOES = texts(
    unary_unary=echo, unary_stream=twice, stream_unary=joined, stream_stream=each
)


async def test_all_four_arities_answer() -> None:
    async with running(ECHOES) as host:
        stub = TextsStub(host.channel)
        assert await stub.unary_unary(text("a")) == text("a")
        assert await all_of(stub.unary_stream(text("a"))) == [text("a"), text("a")]
        assert await stub.stream_unary(stream_of(text("a"), text("b"))) == text("a+b")
        assert await all_of(stub.stream_stream(stream_of(text("a"), text("b")))) == [
            text("a"),
            text("b"),
        ]


@pytest.mark.parametrize(
    "call",
    [
        lambda stub: stub.unary_unary(MALFORMED),
        lambda stub: all_of(stub.unary_stream(MALFORMED)),
        lambda stub: stub.stream_unary(stream_of(text("a"), MALFORMED)),
        lambda stub: all_of(stub.stream_stream(stream_of(text("a"), MALFORMED))),
    ],
    ids=["unary_unary", "unary_stream", "stream_unary", "stream_stream"],
)
async def test_malformed_bytes_are_an_invalid_argument(
    call: Callable[[TextsStub], Awaitable[object]],
) -> None:
    async with running(ECHOES) as host:
        answer = await failure_of(call(TextsStub(host.channel)))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELDS",
    )
    assert list(answer.violations) == ["request"]
    assert answer.trailers["x-correlation-id"] == answer.metadata["correlation_id"]


@pytest.mark.parametrize(
    "payload",
    [b"\x0a\x02\xff\xfe", b"\x0b" * 5000, b"\x0a\xff\xff\xff\xff\x0f", b"\x00"],
    ids=["not UTF-8", "deep groups", "length beyond the end", "field 0"],
)
async def test_bytes_that_no_parser_likes_are_no_fault_of_ours(payload: bytes) -> None:
    async with running(ECHOES) as host:
        answer = await failure_of(TextsStub(host.channel).unary_unary(payload))
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_servicer_may_return_bytes_that_are_ready_to_send() -> None:
    async def ready(_request: StringValue, _context: Any) -> bytes:
        return text("stored")

    async with running(texts(unary_unary=ready)) as host:
        assert await TextsStub(host.channel).unary_unary(b"") == text("stored")


async def broken(_request: Any, _context: Any) -> StringValue:
    current_call().subject["command_id"] = "c1"
    raise ValueError("SECRET")


async def broken_stream(_request: Any, _context: Any) -> AsyncIterator[StringValue]:
    yield StringValue(value="a")
    raise ValueError("SECRET")


async def wrong_answer(_request: Any, _context: Any) -> Any:
    return None


@pytest.mark.parametrize("behaviour", [broken, wrong_answer])
async def test_an_unknown_exception_is_logged_once_and_leaks_nothing(
    behaviour: Behaviour,
) -> None:
    async with running(texts(unary_unary=behaviour)) as host:
        with capture_logs() as lines:
            answer = await failure_of(TextsStub(host.channel).unary_unary(text("a")))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "SECRET" not in str(answer)
    (line,) = lines
    assert line["event"] == "rpc_failed"
    assert line["method"] == f"/{TEXTS}/UnaryUnary"
    assert line["correlation_id"] == answer.trailers["x-correlation-id"]
    assert isinstance(line["exc_info"], Exception)
    assert line.get("command_id") == answer.metadata.get("command_id")


async def test_a_stream_that_breaks_in_the_middle_leaks_nothing() -> None:
    async with running(texts(unary_stream=broken_stream)) as host:
        with capture_logs() as lines:
            answer = await failure_of(all_of(TextsStub(host.channel).unary_stream(b"")))
    assert answer.code is grpc.StatusCode.INTERNAL
    assert "SECRET" not in str(answer)
    assert [line["event"] for line in lines] == ["rpc_failed"]


async def test_an_error_that_the_house_knows_is_not_logged() -> None:
    async def not_found(_request: Any, _context: Any) -> Any:
        raise CommandNotFound("c1")

    async with running(texts(unary_unary=not_found)) as host:
        with capture_logs() as lines:
            answer = await failure_of(TextsStub(host.channel).unary_unary(b""))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "COMMAND_NOT_FOUND",
    )
    assert lines == []


async def test_a_status_that_the_servicer_sends_itself_is_left_alone() -> None:
    async def abort(_request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "no further")

    async with running(texts(unary_unary=abort)) as host:
        answer = await failure_of(TextsStub(host.channel).unary_unary(b""))
    assert (answer.code, answer.message) == (grpc.StatusCode.OUT_OF_RANGE, "no further")
    assert "x-correlation-id" in answer.trailers
    assert host.calls("UnaryUnary", "OUT_OF_RANGE") == 1


async def test_the_correlation_id_of_the_client_comes_back_in_the_trailers_only() -> (
    None
):
    metadata = [("x-correlation-id", "flow-7")]
    async with running(ECHOES) as host:
        call = TextsStub(host.channel).unary_unary(text("a"), metadata=metadata)
        await call
        assert dict(await call.trailing_metadata())["x-correlation-id"] == "flow-7"
        assert "x-correlation-id" not in dict(await call.initial_metadata())


async def test_the_servicer_sees_the_call() -> None:
    seen: list[Call] = []

    async def remember(request: StringValue, _context: Any) -> StringValue:
        seen.append(current_call())
        return request

    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = [
        ("x-correlation-id", "flow-7"),
        ("x-causation-id", "cause-1"),
        ("traceparent", traceparent),
    ]
    async with running(texts(unary_unary=remember)) as host:
        await TextsStub(host.channel).unary_unary(b"", metadata=metadata)
    assert seen == [
        Call(
            method=f"/{TEXTS}/UnaryUnary",
            correlation_id="flow-7",
            causation_id="cause-1",
            traceparent=traceparent,
        )
    ]


WRONG_METADATA = [("x-correlation-id", "x" * 129), ("x-causation-id", "")]


async def test_wrong_metadata_never_reaches_a_servicer_that_does_not_check_it() -> None:
    reached = False

    async def reach(request: StringValue, _context: Any) -> StringValue:
        nonlocal reached
        reached = True
        return request

    async with running(texts(unary_unary=reach)) as host:
        call = TextsStub(host.channel).unary_unary(text("a"), metadata=WRONG_METADATA)
        answer = await failure_of(call)
    assert list(answer.violations) == ["x-correlation-id", "x-causation-id"]
    assert answer.trailers["x-correlation-id"] == answer.metadata["correlation_id"]
    assert len(answer.metadata["correlation_id"]) == 36
    assert not reached


async def test_a_servicer_that_merges_names_all_faults_in_one_answer() -> None:
    async def check(_request: StringValue, _context: Any) -> Any:
        faults = FieldFaults(current_call().violations)
        faults.add("value", "required")
        faults.raise_if_any()

    async with running(texts(unary_unary=check, merges_violations=True)) as host:
        call = TextsStub(host.channel).unary_unary(b"", metadata=WRONG_METADATA)
        answer = await failure_of(call)
        malformed = await failure_of(
            TextsStub(host.channel).unary_unary(MALFORMED, metadata=WRONG_METADATA)
        )
    metadata_keys = ["x-correlation-id", "x-causation-id"]
    assert list(answer.violations) == [*metadata_keys, "value"]
    assert list(malformed.violations) == [*metadata_keys, "request"]


async def test_the_retry_pushback_reaches_the_client() -> None:
    async def refuse(_request: Any, _context: Any) -> Any:
        raise ShuttingDown

    async with running(texts(unary_unary=refuse)) as host:
        answer = await failure_of(TextsStub(host.channel).unary_unary(b""))
    assert answer.code is grpc.StatusCode.UNAVAILABLE
    delay = answer.details["RetryInfo"].retry_delay.ToMilliseconds()
    assert answer.trailers["grpc-retry-pushback-ms"] == str(delay)


async def test_a_long_message_outside_ascii_arrives() -> None:
    async def refuse(_request: Any, _context: Any) -> Any:
        faults = FieldFaults()
        for index in range(60):
            faults.add(f"lines[{index}]", "\u00fc" * 300)
        faults.raise_if_any()

    async with running(texts(unary_unary=refuse)) as host:
        answer = await failure_of(TextsStub(host.channel).unary_unary(b""))
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.metadata["violations_total"] == "60"
    assert answer.violations


async def test_a_client_that_goes_cancels_its_handler_and_nothing_is_logged() -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> Any:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with running(texts(unary_unary=wait)) as host:
        with capture_logs() as lines:
            call = TextsStub(host.channel).unary_unary(b"")
            await entered.wait()
            call.cancel()
            await asyncio.wait_for(cancelled.wait(), DEADLINE_SECONDS)
    assert lines == []
    assert host.calls("UnaryUnary", "CANCELLED") == 1


async def test_a_handler_whose_future_is_cancelled_still_sends_a_status() -> None:
    async def wait(_request: Any, _context: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with running(texts(unary_unary=wait)) as host:
        call = TextsStub(host.channel).unary_unary(b"", timeout=DEADLINE_SECONDS)
        answer = await failure_of(call)
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "SHUTTING_DOWN",
    )


async def test_unknown_methods_are_unimplemented_and_share_one_label() -> None:
    async with running(ECHOES) as host:
        made: Any = host.channel
        answers = [
            await failure_of(made.unary_unary(f"/{TEXTS}/Missing{index}")(b""))
            for index in range(3)
        ]
        streamed = await failure_of(all_of(made.stream_stream("/no/Such")(stream_of())))
    assert {answer.code for answer in [*answers, streamed]} == {
        grpc.StatusCode.UNIMPLEMENTED
    }
    assert "x-correlation-id" in answers[0].trailers
    count = "orderes_rpc_duration_seconds_count"
    assert host.sample(count, method="unknown", code="UNIMPLEMENTED") == 4


async def test_calls_are_counted_by_method_and_code() -> None:
    async with running(ECHOES) as host:
        stub = TextsStub(host.channel)
        await stub.unary_unary(text("a"))
        await failure_of(stub.unary_unary(MALFORMED))
    assert host.calls("UnaryUnary", "OK") == 1
    assert host.calls("UnaryUnary", "INVALID_ARGUMENT") == 1
