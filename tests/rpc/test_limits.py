"""What a server bounds: every limit has an answer of ours, before any of the library's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc

from eventcore.rpc.server import RpcLimits
from tests.support.eventually import eventually
from tests.support.rpc import (
    Failure,
    Running,
    TextsStub,
    all_of,
    channel_to,
    failure_of,
    running,
    stream_of,
    text,
    texts,
)

MIB = 1024 * 1024
KIB = 1024
OVERHEAD = len(text("x" * MIB)) - MIB
DEADLINE_SECONDS = 10.0


async def length(request: StringValue, _context: Any) -> StringValue:
    return StringValue(value=str(len(request.value)))


async def length_once(request: StringValue, context: Any) -> AsyncIterator[StringValue]:
    yield await length(request, context)


async def lengths(
    requests: AsyncIterator[StringValue], context: Any
) -> AsyncIterator[StringValue]:
    async for request in requests:
        yield await length(request, context)


async def last_length(
    requests: AsyncIterator[StringValue], context: Any
) -> StringValue:
    return [await length(request, context) async for request in requests][-1]


LENGTHS = texts(
    unary_unary=length,
    unary_stream=length_once,
    stream_unary=last_length,
    stream_stream=lengths,
)


def of_size(size: int) -> bytes:
    """A request of so many bytes; a large one."""
    payload = text("x" * (size - OVERHEAD))
    assert len(payload) == size
    return payload


# The size of a message.

CALLS: dict[str, Callable[[TextsStub, bytes], Awaitable[object]]] = {
    "unary_unary": lambda stub, raw: stub.unary_unary(raw),
    "unary_stream": lambda stub, raw: all_of(stub.unary_stream(raw)),
    "stream_unary": lambda stub, raw: stub.stream_unary(stream_of(text("a"), raw)),
    "stream_stream": lambda stub, raw: all_of(
        stub.stream_stream(stream_of(text("a"), raw))
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_message_may_have_1_mib_and_not_a_byte_more(
    call: Callable[[TextsStub, bytes], Awaitable[object]],
) -> None:
    async with running(LENGTHS) as host:
        stub = TextsStub(host.channel)
        await call(stub, of_size(MIB))
        answer = await failure_of(call(stub, of_size(MIB + 1)))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELDS",
    )
    assert answer.violations == {
        "request": "has 1048577 bytes, at most 1048576 are allowed"
    }


async def test_the_limit_of_the_library_on_messages_comes_after_ours() -> None:
    async with running(LENGTHS) as host:
        stub = TextsStub(host.channel)
        ours = await failure_of(stub.unary_unary(b"x" * (4 * MIB)))
        theirs = await failure_of(stub.unary_unary(b"x" * (4 * MIB + 1)))
    assert ours.reason == "INVALID_FIELDS"
    assert theirs.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert theirs.details == {}


# The size of the metadata.


async def with_metadata(host: Running, *metadata: tuple[str, str]) -> Failure:
    call = TextsStub(host.channel).unary_unary(text("a"), metadata=metadata)
    return await failure_of(call)


@pytest.mark.parametrize("size_kib", [17, 40, 60])
async def test_too_much_metadata_is_named_long_before_the_library_minds(
    size_kib: int,
) -> None:
    async with running(LENGTHS) as host:
        answer = await with_metadata(host, ("x-more", "x" * size_kib * KIB))
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELDS",
    )
    assert list(answer.violations) == ["metadata"]
    assert "at most 16384 are allowed" in answer.violations["metadata"]


async def test_metadata_below_the_limit_is_taken() -> None:
    async with running(LENGTHS) as host:
        call = TextsStub(host.channel).unary_unary(
            text("a"), metadata=[("x-more", "x" * 15 * KIB)]
        )
        assert await call == text("1")


async def test_many_entries_of_metadata_are_too_much_as_well() -> None:
    async with running(LENGTHS) as host:
        answer = await with_metadata(host, *((f"x-{n}", "x") for n in range(500)))
    assert list(answer.violations) == ["metadata"]


async def test_the_limit_of_the_library_on_metadata_comes_after_ours() -> None:
    async with running(LENGTHS) as host:
        answer = await with_metadata(host, ("x-more", "x" * 65 * KIB))
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answer.details == {}


# Calls under way on a connection.

FEW = RpcLimits(connection_calls_max=3)


class Held:
    """A handler that holds calls until they are let go."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()

    async def unary(self, request: StringValue, _context: Any) -> StringValue:
        self.count += 1
        await self.go.wait()
        return request

    async def stream(self, requests: Any, context: Any) -> AsyncIterator[StringValue]:
        async for request in requests:
            yield await self.unary(request, context)


def under_way(channel: grpc.aio.Channel, count: int) -> list[asyncio.Future[bytes]]:
    stub = TextsStub(channel)
    return [asyncio.ensure_future(stub.unary_unary(text("a"))) for _ in range(count)]


async def test_a_connection_has_as_many_calls_under_way_as_it_may() -> None:
    held = Held()
    async with running(texts(unary_unary=held.unary), limits=FEW) as host:
        calls = under_way(host.channel, 3)
        await eventually(lambda: held.count == 3)
        answer = await failure_of(TextsStub(host.channel).unary_unary(text("b")))
        assert (answer.code, answer.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_CALLS",
        )
        assert answer.metadata["limit"] == "3"
        delay = answer.details["RetryInfo"].retry_delay.ToMilliseconds()
        assert answer.trailers["grpc-retry-pushback-ms"] == str(delay)
        assert held.count == 3
        held.go.set()
        assert await asyncio.gather(*calls) == [text("a")] * 3
        assert await TextsStub(host.channel).unary_unary(text("c")) == text("c")


async def test_a_stream_is_a_call_under_way_like_any_other() -> None:
    held = Held()
    service = texts(unary_unary=held.unary, stream_stream=held.stream)
    async with running(service, limits=FEW) as host:
        stub = TextsStub(host.channel)
        streams = [stub.stream_stream() for _ in range(3)]
        for stream in streams:
            await stream.write(text("a"))
        await eventually(lambda: held.count == 3)
        assert (await failure_of(stub.unary_unary(text("b")))).reason == (
            "TOO_MANY_CALLS"
        )
        streams[0].cancel()
        held.go.set()
        await eventually(lambda: _answers(stub))


async def _answers(stub: TextsStub) -> bool:
    try:
        await stub.unary_unary(text("b"))
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_another_connection_has_calls_of_its_own() -> None:
    held = Held()
    async with (
        running(texts(unary_unary=held.unary), limits=FEW) as host,
        channel_to(host.address) as other,
    ):
        calls = under_way(host.channel, 3)
        await eventually(lambda: held.count == 3)
        calls += under_way(other, 3)
        await eventually(lambda: held.count == 6)
        held.go.set()
        await asyncio.gather(*calls)


async def test_health_is_answered_whatever_is_under_way() -> None:
    held = Held()
    async with running(texts(unary_unary=held.unary), limits=FEW) as host:
        calls = under_way(host.channel, 3)
        await eventually(lambda: held.count == 3)
        stub: Any = health_pb2_grpc.HealthStub(host.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        held.go.set()
        await asyncio.gather(*calls)


async def test_the_calls_of_a_client_that_goes_are_forgotten() -> None:
    held = Held()
    async with running(texts(unary_unary=held.unary), limits=FEW) as host:
        for _ in range(3):
            calls = under_way(host.channel, 3)
            await eventually(lambda: held.count == 3)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            held.count = 0
            await eventually(lambda: not host.server._calls._tasks)


async def test_the_limit_of_the_library_on_calls_comes_after_ours() -> None:
    held, limits = Held(), RpcLimits(connection_calls_max=100)
    async with running(texts(unary_unary=held.unary), limits=limits) as host:
        calls = under_way(host.channel, 100)
        await eventually(lambda: held.count == 100)
        stub = TextsStub(host.channel)
        refused = await asyncio.gather(
            *(failure_of(stub.unary_unary(text("b"))) for _ in range(300))
        )
        assert {answer.reason for answer in refused} == {"TOO_MANY_CALLS"}
        held.go.set()
        await asyncio.gather(*calls)
