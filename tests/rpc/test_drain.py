"""How a server stops: accepted calls are answered, and no call is left without a status."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from eventcore.rpc import server
from eventcore.rpc.call import current_call
from tests.support.rpc import (
    TEXTS,
    TextsStub,
    channel_to,
    failure_of,
    running,
    text,
    texts,
)

DEADLINE_SECONDS = 30.0
SOON_SECONDS = 0.05
CALLERS = 200
CHANNELS = 4

Status = health_pb2.HealthCheckResponse


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.go = asyncio.Event()

    async def wait(self, request: StringValue, _context: Any) -> StringValue:
        self.entered.set()
        await self.go.wait()
        return request


async def test_a_drain_lets_calls_finish_and_refuses_new_ones() -> None:
    gate = Gate()
    async with running(texts(unary_unary=gate.wait)) as host:
        stub = TextsStub(host.channel)
        under_way = asyncio.ensure_future(stub.unary_unary(text("a")))
        await gate.entered.wait()
        stopping = asyncio.create_task(host.server.stop(grace_seconds=DEADLINE_SECONDS))
        await asyncio.sleep(0)

        refused = await failure_of(stub.unary_unary(text("b")))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "SHUTTING_DOWN",
        )
        assert "grpc-retry-pushback-ms" in refused.trailers
        health: Any = health_pb2_grpc.HealthStub(host.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == Status.NOT_SERVING
        assert not stopping.done()

        gate.go.set()
        assert await under_way == text("a")
        await stopping


async def test_a_call_without_a_bound_is_told_of_the_drain_and_ends_itself() -> None:
    async def until_the_drain(_request: Any, _context: Any) -> Any:
        yield StringValue(value="begun")
        await current_call().draining.wait()
        yield StringValue(value="ended")

    async with running(texts(unary_stream=until_the_drain)) as host:
        answers = aiter(TextsStub(host.channel).unary_stream(text("a")))
        assert await anext(answers) == text("begun")
        await host.server.stop(grace_seconds=DEADLINE_SECONDS)
        assert [answer async for answer in answers] == [text("ended")]


async def test_after_a_drain_nothing_sets_the_health_back() -> None:
    gate = Gate()
    async with running(texts(unary_unary=gate.wait)) as host:
        under_way = asyncio.ensure_future(
            TextsStub(host.channel).unary_unary(text("a"))
        )
        await gate.entered.wait()
        stopping = asyncio.create_task(host.server.stop(grace_seconds=DEADLINE_SECONDS))
        await asyncio.sleep(0)
        host.server.set_serving(TEXTS, serving=True)
        health: Any = health_pb2_grpc.HealthStub(host.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == Status.NOT_SERVING
        gate.go.set()
        await under_way
        await stopping


async def test_calls_beyond_the_grace_end_with_a_status() -> None:
    gate = Gate()

    async def wait_each(requests: Any, context: Any) -> Any:
        async for request in requests:
            yield await gate.wait(request, context)

    async with running(texts(unary_unary=gate.wait, stream_stream=wait_each)) as host:
        stub = TextsStub(host.channel)
        calls = [
            asyncio.ensure_future(failure_of(stub.unary_unary(text("a"))))
            for _ in range(50)
        ]
        idle = stub.stream_stream()
        calls.append(asyncio.ensure_future(failure_of(idle.read())))
        await gate.entered.wait()
        await health_answer(host.channel)
        with capture_logs() as lines:
            await host.server.stop(grace_seconds=SOON_SECONDS)
        answers = await asyncio.gather(*calls)
    assert {(answer.code, answer.reason) for answer in answers} == {
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    }
    assert lines == []


async def health_answer(channel: grpc.aio.Channel) -> None:
    """Comes back after all calls that were sent before on the same connection have come in."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    await stub.Check(health_pb2.HealthCheckRequest())


async def test_a_handler_that_does_not_listen_cannot_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "ENDING_SECONDS_MAX", SOON_SECONDS)
    monkeypatch.setattr(server, "CLOSING_SECONDS_MAX", SOON_SECONDS)
    deaf, entered = asyncio.Event(), asyncio.Event()

    async def ignore(request: StringValue, _context: Any) -> StringValue:
        while not deaf.is_set():
            entered.set()
            try:
                await deaf.wait()
            except asyncio.CancelledError:
                continue
        return request

    async with running(texts(unary_unary=ignore)) as host:
        call = TextsStub(host.channel).unary_unary(text("a"))
        failing = asyncio.ensure_future(failure_of(call))
        await entered.wait()
        stopping = asyncio.create_task(host.server.stop(grace_seconds=0))
        answer = await asyncio.wait_for(failing, DEADLINE_SECONDS)
        deaf.set()
        await stopping
    assert answer.code in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


async def test_stopping_twice_at_once_is_one_stop() -> None:
    gate = Gate()
    async with running(texts(unary_unary=gate.wait)) as host:
        under_way = asyncio.ensure_future(
            TextsStub(host.channel).unary_unary(text("a"))
        )
        await gate.entered.wait()
        first = asyncio.create_task(host.server.stop(grace_seconds=DEADLINE_SECONDS))
        second = asyncio.create_task(host.server.stop(grace_seconds=0))
        await asyncio.sleep(0)
        gate.go.set()
        assert await under_way == text("a")
        await asyncio.gather(first, second)


async def test_a_caller_of_stop_that_is_cancelled_does_not_stop_the_drain() -> None:
    gate = Gate()
    async with running(texts(unary_unary=gate.wait)) as host:
        under_way = asyncio.ensure_future(
            TextsStub(host.channel).unary_unary(text("a"))
        )
        await gate.entered.wait()
        stopping = asyncio.create_task(host.server.stop(grace_seconds=DEADLINE_SECONDS))
        await asyncio.sleep(0)
        stopping.cancel()
        gate.go.set()
        assert await under_way == text("a")
        await host.server.stop(grace_seconds=0)


async def test_a_stop_under_load_gives_every_call_ok_or_unavailable() -> None:
    codes: Counter[grpc.StatusCode] = Counter()
    busy, stopped = asyncio.Event(), False

    async def hop(request: StringValue, _context: Any) -> StringValue:
        await asyncio.sleep(0.01)
        return request

    async def call_until_stopped(stub: TextsStub) -> None:
        while not stopped:
            try:
                await stub.unary_unary(text("a"), timeout=DEADLINE_SECONDS)
                codes[grpc.StatusCode.OK] += 1
                if codes[grpc.StatusCode.OK] == CALLERS:
                    busy.set()
            except grpc.aio.AioRpcError as error:
                codes[error.code()] += 1

    async with running(texts(unary_unary=hop)) as host, AsyncExitStack() as stack:
        stubs = [
            TextsStub(await stack.enter_async_context(channel_to(host.address)))
            for _ in range(CHANNELS)
        ]
        callers = [
            asyncio.create_task(call_until_stopped(stubs[index % CHANNELS]))
            for index in range(CALLERS)
        ]
        await asyncio.wait_for(busy.wait(), DEADLINE_SECONDS)
        await host.server.stop(grace_seconds=DEADLINE_SECONDS)
        stopped = True
        await asyncio.gather(*callers)
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
