"""Connections are lost, go dead, and come back; calls and streams live on."""

import asyncio
from typing import Any

import pytest

from orderes.client import (
    Client,
    DeadlineExceeded,
    Position,
    RetryPolicy,
    Unavailable,
    channels,
)
from orderes.v1.command_service_pb2 import (
    CommandResult,
    DeliverOrderRequest,
    DeliverOrderResponse,
    StreamCommandsResponse,
)
from orderes.v1.order_pb2 import Order
from orderes.v1.query_service_pb2 import GetOrderResponse, ListOrdersResponse
from tests.client.conftest import QUICK
from tests.client.event_log import EventLog, event, mark
from tests.client.examples import ORDER_ID, receipt
from tests.client.scripted import Script, scripted_server
from tests.client.wire import wire_to
from tests.support.eventually import eventually
from tests.support.processes import free_address

BEGINNING = Position(position=0)
DONE = DeliverOrderResponse(command=receipt(7))


async def test_a_server_that_comes_back_is_found_again() -> None:
    address = free_address()
    async with Client(address, address) as client:
        for _ in range(3):
            # A connection that is refused slowly is still being tried when the time is over.
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await client.deliver_order(order_id=ORDER_ID, timeout_seconds=0.3)
            async with scripted_server(address) as script:
                script.on("DeliverOrder", DONE)
                assert await client.deliver_order(order_id=ORDER_ID) == DONE


async def test_a_watch_goes_on_with_the_server_that_comes_after() -> None:
    address = free_address()
    everything = frozenset(range(1, 10))
    seen: list[int] = []

    async with Client(address, address) as client:
        events = aiter(client.watch_orders(after=BEGINNING))
        for length in (3, 5, 9):
            async with scripted_server(address) as script:
                log = EventLog(length=length, matching=everything)
                script.on("WatchOrders", log.watch)
                while len(seen) < length:
                    seen.append((await anext(events)).position)
        await events.aclose()

    assert seen == sorted(everything)


async def test_a_connection_that_is_cut_costs_a_call_an_attempt(
    script: Script,
) -> None:
    async def unanswered(request: Any, context: Any) -> None:
        await asyncio.Event().wait()

    script.on("DeliverOrder", unanswered, DONE)
    async with (
        wire_to(script.address) as wire,
        Client(wire.address, wire.address, retries=QUICK) as client,
    ):
        calling = asyncio.create_task(client.deliver_order(order_id=ORDER_ID))
        await eventually(lambda: len(script.calls["DeliverOrder"]) == 1)

        wire.cut()

        assert await calling == DONE
    first, second = script.requests("DeliverOrder")
    assert first == second


async def test_a_dead_connection_is_noticed_and_replaced(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other end is gone without a word: nothing that is sent comes back, not even an error."""
    monkeypatch.setattr(channels, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(channels, "PROBE_ANSWER_SECONDS_MAX", 0.3)
    script.on("DeliverOrder", DONE)
    async with (
        wire_to(script.address) as wire,
        Client(wire.address, wire.address, retries=QUICK) as client,
    ):
        await client.deliver_order(order_id=ORDER_ID)
        wire.go_dead()

        assert await client.deliver_order(order_id=ORDER_ID) == DONE

        assert wire.connections == 2


async def test_streams_on_a_dead_connection_come_back_too(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(channels, "PROBE_ANSWER_SECONDS_MAX", 0.3)

    async def stream(requests: Any, context: Any) -> Any:
        async for request in requests:
            result = CommandResult(command=receipt(1))
            yield StreamCommandsResponse(sequence=request.sequence, result=result)

    async def watch(request: Any, context: Any) -> Any:
        yield mark(request.after_position)
        yield event(request.after_position + 1)
        await asyncio.Event().wait()

    script.on("StreamCommands", stream)
    script.on("WatchOrders", watch)
    more = asyncio.Event()

    async def source() -> Any:
        yield DeliverOrderRequest(command_id="c-1")
        await more.wait()
        yield DeliverOrderRequest(command_id="c-2")

    async with (
        wire_to(script.address) as wire,
        Client(wire.address, wire.address, retries=QUICK) as client,
    ):
        events = aiter(client.watch_orders(after=BEGINNING))
        answers = client.stream_commands(source())
        assert (await anext(events)).position == 1
        assert (await anext(answers)).command_id == "c-1"

        wire.go_dead()
        more.set()

        assert (await anext(events)).position == 2
        assert (await anext(answers)).command_id == "c-2"
        await answers.aclose()
        await events.aclose()


async def test_a_long_page_is_not_too_long(client: Client, script: Script) -> None:
    """The library by itself takes 4 MiB."""
    page = ListOrdersResponse(orders=[Order(customer_id="x" * 10_000)] * 800)
    script.on("ListOrders", page)

    assert await client.list_orders() == page


async def test_a_proxy_for_the_web_is_not_asked_for_the_way(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{free_address()}")
    script.on("GetOrder", GetOrderResponse())
    once = RetryPolicy(attempts_max=1)

    async with Client(script.address, script.address, retries=once) as client:
        assert await client.get_order(order_id=ORDER_ID) == GetOrderResponse()
