"""How a server starts, what it hosts beside its services, and how much it holds."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from eventcore.errors import StartFailed
from eventcore.rpc.server import RpcServer, RpcService
from eventcore.telemetry import RpcMetrics
from orderes.v1 import query_service_pb2
from orderes.v1.query_service_pb2_grpc import (
    QueryServiceServicer,
    add_QueryServiceServicer_to_server,
)
from tests.support.rpc import (
    LOCALHOST,
    TEXTS,
    TextsStub,
    all_of,
    channel_to,
    failure_of,
    running,
    stream_of,
    text,
    texts,
)

DEADLINE_SECONDS = 30.0
CALLS = 5_000
CHANNELS = 4

Status = health_pb2.HealthCheckResponse


async def echo(request: StringValue, _context: Any) -> StringValue:
    return request


def server_at(address: str) -> RpcServer:
    return RpcServer(
        address=address,
        services=[texts(unary_unary=echo)],
        metrics=RpcMetrics(CollectorRegistry()),
    )


@pytest.fixture
def busy_address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


async def test_port_0_becomes_a_port_that_answers() -> None:
    async with running(texts(unary_unary=echo)) as host:
        assert not host.address.endswith(":0")
        assert await TextsStub(host.channel).unary_unary(text("a")) == text("a")


async def test_an_address_in_use_is_named_with_what_to_do(busy_address: str) -> None:
    with pytest.raises(StartFailed) as failed:
        await server_at(busy_address).start()
    assert failed.value.message == (
        f"address {busy_address} is in use: stop the other process or choose another address"
    )


async def test_a_second_server_cannot_share_the_port() -> None:
    async with running(texts(unary_unary=echo)) as host:
        with pytest.raises(StartFailed, match="is in use"):
            await server_at(host.address).start()


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:x", "localhost:65536", ":1"]
)
async def test_an_address_of_wrong_form_is_named(address: str) -> None:
    with pytest.raises(StartFailed) as failed:
        await server_at(address).start()
    assert repr(address) in failed.value.message
    assert "must be host:port" in failed.value.message


async def test_an_address_that_is_not_of_this_machine_is_named() -> None:
    with pytest.raises(
        StartFailed, match=r"cannot listen at address 192\.0\.2\.1:50051"
    ):
        await server_at("192.0.2.1:50051").start()


async def test_a_port_that_was_freed_can_be_used_again() -> None:
    async with running(texts(unary_unary=echo)) as host:
        await host.server.stop(grace_seconds=0)
        again = server_at(host.address)
        assert await again.start() == host.address
        await again.stop(grace_seconds=0)


def test_a_service_that_registers_nothing_of_its_name_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"test\.v1\.Other registers"):
        RpcServer(
            address=LOCALHOST,
            services=[
                RpcService(name="test.v1.Other", add=texts(unary_unary=echo).add)
            ],
            metrics=RpcMetrics(CollectorRegistry()),
        )


# Health


async def test_every_service_serves_from_the_start() -> None:
    async with running(texts(unary_unary=echo)) as host:
        stub: Any = health_pb2_grpc.HealthStub(host.channel)
        for service in ("", TEXTS, "grpc.health.v1.Health"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == Status.SERVING
        listed = await stub.List(health_pb2.HealthListRequest())  # type: ignore[attr-defined]
    assert {"", TEXTS} <= set(listed.statuses)


async def test_health_says_what_was_set_also_before_the_start() -> None:
    server = server_at(LOCALHOST)
    server.set_serving(TEXTS, serving=False)
    address = await server.start()
    async with channel_to(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=TEXTS)
        assert (await stub.Check(request)).status == Status.NOT_SERVING
        server.set_serving(TEXTS, serving=True)
        assert (await stub.Check(request)).status == Status.SERVING
    await server.stop(grace_seconds=0)


async def test_the_whole_is_serving_when_all_services_are() -> None:
    async with running(texts(unary_unary=echo)) as host:
        stub: Any = health_pb2_grpc.HealthStub(host.channel)
        whole = health_pb2.HealthCheckRequest()
        assert (await stub.Check(whole)).status == Status.SERVING
        host.server.set_serving(TEXTS, serving=False)
        assert (await stub.Check(whole)).status == Status.NOT_SERVING
        host.server.set_serving(TEXTS, serving=True)
        assert (await stub.Check(whole)).status == Status.SERVING


async def test_health_of_an_unknown_service_is_not_found() -> None:
    async with running(texts(unary_unary=echo)) as host:
        stub: Any = health_pb2_grpc.HealthStub(host.channel)
        request = health_pb2.HealthCheckRequest(service="test.v1.Missing")
        assert (await failure_of(stub.Check(request))).code is grpc.StatusCode.NOT_FOUND


async def test_a_watcher_hears_of_every_change_and_of_the_end() -> None:
    async with running(texts(unary_unary=echo)) as host:
        stub: Any = health_pb2_grpc.HealthStub(host.channel)
        watching = stub.Watch(health_pb2.HealthCheckRequest(service=TEXTS))
        heard = aiter(watching)
        assert (await anext(heard)).status == Status.SERVING
        host.server.set_serving(TEXTS, serving=False)
        assert (await anext(heard)).status == Status.NOT_SERVING
        host.server.set_serving(TEXTS, serving=True)
        assert (await anext(heard)).status == Status.SERVING
        stopping = asyncio.create_task(host.server.stop(grace_seconds=DEADLINE_SECONDS))
        assert (await anext(heard)).status == Status.NOT_SERVING
        answer = await failure_of(anext(heard))
        await stopping
    assert (answer.code, answer.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "SHUTTING_DOWN",
    )


# Reflection


async def test_reflection_lists_and_describes_every_service() -> None:
    class Queries(QueryServiceServicer):
        async def GetOrder(self, request: Any, context: Any) -> Any:  # noqa: N802
            return query_service_pb2.GetOrderResponse()

        async def ListOrders(self, request: Any, context: Any) -> Any:  # noqa: N802
            return query_service_pb2.ListOrdersResponse()

        async def ListOrderEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
            return query_service_pb2.ListOrderEventsResponse()

        async def WatchOrders(self, request: Any, context: Any) -> Any:  # noqa: N802
            yield query_service_pb2.WatchOrdersResponse()

        async def GetCustomerSummary(self, request: Any, context: Any) -> Any:  # noqa: N802
            return query_service_pb2.GetCustomerSummaryResponse()

        async def ListProductSales(self, request: Any, context: Any) -> Any:  # noqa: N802
            return query_service_pb2.ListProductSalesResponse()

    name = query_service_pb2.DESCRIPTOR.services_by_name["QueryService"].full_name
    service = RpcService(
        name=name,
        add=lambda server: add_QueryServiceServicer_to_server(Queries(), server),
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=name),
    ]
    async with running(service) as host:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast(Any, host.channel))
        listed, described = [
            answer async for answer in stub.ServerReflectionInfo(iter(requests))
        ]
    assert {entry.name for entry in listed.list_services_response.service} == {
        name,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert described.file_descriptor_response.file_descriptor_proto


# Capacity


async def test_5000_calls_at_once_all_reach_the_servicer() -> None:
    entered, all_in, go = 0, asyncio.Event(), asyncio.Event()

    async def wait(request: StringValue, _context: Any) -> StringValue:
        nonlocal entered
        entered += 1
        if entered == CALLS:
            all_in.set()
        await go.wait()
        return request

    async with running(texts(unary_unary=wait)) as host, AsyncExitStack() as stack:
        stubs = [
            TextsStub(await stack.enter_async_context(channel_to(host.address)))
            for _ in range(CHANNELS)
        ]
        calls = [
            stubs[index % CHANNELS].unary_unary(text("a"), timeout=2 * DEADLINE_SECONDS)
            for index in range(CALLS)
        ]
        answers = asyncio.gather(*calls)
        await asyncio.wait_for(all_in.wait(), DEADLINE_SECONDS)
        go.set()
        assert await answers == [text("a")] * CALLS


async def test_streams_of_both_directions_flow_at_once() -> None:
    async def each(requests: Any, _context: Any) -> Any:
        async for request in requests:
            yield request

    async with running(texts(stream_stream=each)) as host:
        call = TextsStub(host.channel).stream_stream()
        for value in ("a", "b"):
            await call.write(text(value))
            assert await call.read() == text(value)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        rest = TextsStub(host.channel).stream_stream(stream_of(text("c")))
        assert await all_of(rest) == [text("c")]
