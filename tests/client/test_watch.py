"""A watch comes back from wherever it breaks: no event is missing, and none comes twice."""

import asyncio
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from orderes.client import (
    Client,
    InternalFault,
    OrderesError,
    Position,
    StoreMismatch,
    Unavailable,
    VersionOutOfRange,
    Watch,
    watch,
)
from orderes.v1.query_service_pb2 import GetOrderResponse
from tests.client.conftest import QUICK
from tests.client.event_log import Break, EventLog, Messages, event, mark
from tests.client.examples import (
    GONE,
    LAGGING,
    MISMATCH,
    ORDER_ID,
    OTHER_STORE,
    SHUTTING_DOWN,
    STORE,
    Code,
    bare,
    refused,
)
from tests.client.scripted import Script, scripted_server
from tests.support.eventually import eventually

PASSING = [
    GONE,
    LAGGING,
    SHUTTING_DOWN,
    bare(Code.CANCELLED),
    refused(Code.UNAVAILABLE, "STORE_UNAVAILABLE"),
    refused(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"),
]
FAULT = refused(Code.INTERNAL, "INTERNAL")
BEGINNING = Position(position=0)


def at(position: int) -> Position:
    return Position(position=position, store_id=STORE)


async def positions(events: Watch, *, until: int) -> list[int]:
    """Those of the events that are yielded, up to one."""
    seen = []
    async for each in events:
        seen.append(each.position)
        assert events.position == at(each.position)
        if each.position == until:
            break
    return seen


BREAKS = st.lists(
    st.builds(Break, st.integers(0, 12), st.sampled_from([*PASSING, None])), max_size=8
)


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    """Any log that ends with an event, and any way in which its streams break."""
    length = draw(st.integers(1, 25))
    some = st.frozensets(st.integers(1, length))
    return EventLog(
        length=length,
        matching=draw(some) | {length},
        marked=draw(some),
        breaks=draw(BREAKS),
    )


@st.composite
def growing_logs(draw: st.DrawFn) -> EventLog:
    """Any log that grows from one stream to the next."""
    heads = draw(st.lists(st.integers(0, 19), min_size=9, max_size=9))
    return EventLog(
        length=20,
        matching=frozenset(range(1, 21)),
        breaks=draw(BREAKS),
        heads=sorted(heads),
    )


@settings(max_examples=60, deadline=None)
@given(log=logs(), start=st.integers(0, 24))
async def test_whatever_the_breaks_each_event_comes_once_and_in_order(
    log: EventLog, start: int
) -> None:
    start = min(start, log.length - 1)
    async with scripted_server() as script:
        script.on("WatchOrders", log.watch)
        async with Client(script.address, script.address, retries=QUICK) as client:
            events = client.watch_orders(after=at(start))
            seen = await positions(events, until=log.length)

    assert seen == sorted(position for position in log.matching if position > start)
    asked = [request.after_position for request in script.requests("WatchOrders")]
    assert asked == sorted(asked)


@settings(max_examples=40, deadline=None)
@given(log=growing_logs())
async def test_what_is_new_begins_where_the_first_stream_did(log: EventLog) -> None:
    """The log grows while the stream breaks, also before it has said where it begins."""
    async with scripted_server() as script:
        script.on("WatchOrders", log.watch)
        async with Client(script.address, script.address, retries=QUICK) as client:
            seen = await positions(client.watch_orders(), until=20)

    heard = (broken.after_messages > 0 for broken in log.breaks)
    first = next((n for n, said in enumerate(heard) if said), len(log.breaks))
    assert seen == list(range(log.heads[first] + 1, 21))


async def test_a_watch_asks_for_what_it_is_told_and_goes_on_after_what_it_has(
    client: Client, script: Script
) -> None:
    log = EventLog(length=5, matching=frozenset({3, 5}), breaks=[Break(2, GONE)])
    script.on("WatchOrders", log.watch)
    events = client.watch_orders(
        after=at(2),
        order_ids=["o-1", "o-2"],
        customer_id="c-1",
        event_types=["OrderPlaced"],
        checkpoint_interval_seconds=1.5,
        correlation_id="flow-1",
    )

    assert await positions(events, until=5) == [3, 5]

    first, second = script.calls["WatchOrders"]
    assert (first.request.after_position, second.request.after_position) == (2, 3)
    for call in (first, second):
        assert call.request.store_id == STORE
        assert call.request.order_ids == ["o-1", "o-2"]
        assert call.request.customer_id == "c-1"
        assert call.request.event_types == ["OrderPlaced"]
        assert call.request.checkpoint_interval.ToMilliseconds() == 1500
        assert call.metadata["x-correlation-id"] == "flow-1"
        assert call.seconds_left == float("inf")


async def test_without_a_start_it_asks_for_what_is_new(
    client: Client, script: Script
) -> None:
    log = EventLog(length=1, matching=frozenset({1}), heads=[0])
    script.on("WatchOrders", log.watch)
    events = client.watch_orders()

    assert events.position is None
    assert await positions(events, until=1) == [1]
    (request,) = script.requests("WatchOrders")
    assert not request.HasField("after_position")
    assert request.store_id == ""


async def test_a_mark_moves_the_position_and_says_that_the_past_has_ended(
    client: Client, script: Script
) -> None:
    said = Messages([[mark(0), event(1), mark(9, caught_up=True)]])
    script.on("WatchOrders", said.watch)
    events = client.watch_orders(after=BEGINNING)
    reading = asyncio.create_task(positions(events, until=99))

    await eventually(lambda: events.caught_up)

    assert events.position == at(9)
    assert client.position == at(9)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not events.caught_up


async def test_while_the_stream_is_broken_it_is_not_caught_up(
    client: Client, script: Script
) -> None:
    go_on = asyncio.Event()

    async def first(request: Any, context: Any) -> Any:
        yield mark(3, caught_up=True)
        await go_on.wait()
        yield GONE

    async def second(request: Any, context: Any) -> Any:
        yield mark(3)
        await asyncio.Event().wait()

    script.on("WatchOrders", first, second)
    events = client.watch_orders()
    reading = asyncio.create_task(positions(events, until=99))
    await eventually(lambda: events.caught_up)

    go_on.set()

    await eventually(lambda: len(script.calls["WatchOrders"]) == 2)
    await eventually(lambda: not events.caught_up)
    reading.cancel()


async def test_another_loop_goes_on_where_the_one_before_was_left(
    client: Client, script: Script
) -> None:
    log = EventLog(length=4, matching=frozenset({1, 2, 3, 4}))
    script.on("WatchOrders", log.watch)
    events = client.watch_orders(after=BEGINNING)

    assert await positions(events, until=2) == [1, 2]
    assert await positions(events, until=4) == [3, 4]


async def test_after_an_event_no_answer_is_older_than_it(
    client: Client, script: Script
) -> None:
    log = EventLog(length=4, matching=frozenset({4}))
    script.on("WatchOrders", log.watch)
    script.on("GetOrder", GetOrderResponse())

    await positions(client.watch_orders(after=BEGINNING), until=4)
    await client.get_order(order_id=ORDER_ID)

    (request,) = script.requests("GetOrder")
    assert request.consistency.min_position == 4
    assert request.consistency.store_id == STORE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (MISMATCH, StoreMismatch),
        (refused(Code.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE"), VersionOutOfRange),
        (bare(Code.UNKNOWN), OrderesError),
    ],
)
async def test_what_does_not_pass_is_raised(
    client: Client, script: Script, status: Status, expected: type[OrderesError]
) -> None:
    said = Messages([[mark(0), event(1), status]])
    script.on("WatchOrders", said.watch)
    events = client.watch_orders(after=BEGINNING)

    with pytest.raises(expected) as raised:
        await positions(events, until=99)

    assert type(raised.value) is expected
    assert events.position == at(1)
    assert said.begun == 1


async def test_it_gives_up_when_it_makes_no_progress_for_too_long(
    client: Client, script: Script
) -> None:
    """The mark at the beginning of each stream is none."""
    said = Messages([[mark(0), event(1), GONE], [mark(1), SHUTTING_DOWN]])
    script.on("WatchOrders", said.watch)
    events = client.watch_orders(after=BEGINNING, give_up_seconds=1)
    loop = asyncio.get_running_loop()
    began = loop.time()

    with pytest.raises(Unavailable) as raised:
        await positions(events, until=99)

    assert raised.value.reason == "SHUTTING_DOWN"
    assert loop.time() - began > 0.8
    assert said.begun > 5
    assert events.position == at(1)


@pytest.mark.parametrize("progress", [[event(1)], [mark(0)]], ids=["event", "mark"])
async def test_progress_gives_it_new_patience(
    client: Client, script: Script, progress: Any
) -> None:
    """Each stream breaks soon, all together they break for longer than it waits for one."""

    async def progressing(request: Any, context: Any) -> Any:
        yield mark(request.after_position)
        number = len(script.calls["WatchOrders"])
        if number == 60:
            yield event(100)
        yield event(number) if progress == [event(1)] else mark(request.after_position)
        yield GONE

    script.on("WatchOrders", progressing)
    events = client.watch_orders(after=BEGINNING, give_up_seconds=0.05)

    assert (await positions(events, until=100))[-1] == 100


async def test_a_fault_that_comes_back_is_raised(
    client: Client, script: Script
) -> None:
    """An event that the server cannot send is no reason to ask for it for ever."""
    said = Messages([[mark(0), event(1), FAULT], [mark(1), FAULT]])
    script.on("WatchOrders", said.watch)

    with pytest.raises(InternalFault):
        await positions(client.watch_orders(after=BEGINNING), until=99)

    assert said.begun == 3


async def test_a_stream_that_falls_silent_is_left_for_another(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENCE_MARGIN_SECONDS", 0.1)
    said = Messages([[mark(0), event(1)], [mark(1), event(2)]])
    script.on("WatchOrders", said.watch)
    events = client.watch_orders(after=BEGINNING, checkpoint_interval_seconds=0.1)

    assert await positions(events, until=2) == [1, 2]


async def test_silence_is_what_it_gives_up_for(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENCE_MARGIN_SECONDS", 0.0)
    script.on("WatchOrders", Messages([[]]).watch)
    events = client.watch_orders(checkpoint_interval_seconds=0.1, give_up_seconds=0.15)

    with pytest.raises(Unavailable, match=r"nothing came for 0\.1 s"):
        await positions(events, until=1)


async def test_a_slow_reader_loses_nothing(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a wait for the server is silence, not the time that the reader takes."""
    monkeypatch.setattr(watch, "SILENCE_MARGIN_SECONDS", 0.1)
    everything = frozenset(range(1, 21))
    log = EventLog(length=20, matching=everything, breaks=[Break(8, GONE)])
    script.on("WatchOrders", log.watch)
    loop = asyncio.get_running_loop()
    seen = []

    async def take_long() -> None:
        began = loop.time()
        await eventually(lambda: loop.time() > began + 0.3)

    events = client.watch_orders(after=BEGINNING, checkpoint_interval_seconds=0.1)
    async for each in events:
        seen.append(each.position)
        if each.position == 3:
            await take_long()
        if each.position == 20:
            break

    assert seen == sorted(everything)


async def test_a_message_of_a_newer_server_is_passed_over(
    client: Client, script: Script
) -> None:
    unknown = mark(0)
    unknown.ClearField("mark")
    said = Messages([[mark(0), unknown, event(1)]])
    script.on("WatchOrders", said.watch)

    assert await positions(client.watch_orders(after=BEGINNING), until=1) == [1]


async def test_leaving_the_loop_ends_the_stream(client: Client, script: Script) -> None:
    ended = asyncio.Event()

    async def stream(request: Any, context: Any) -> Any:
        try:
            yield mark(0)
            yield event(1)
            await asyncio.Event().wait()
        finally:
            ended.set()

    script.on("WatchOrders", stream)
    await positions(client.watch_orders(after=BEGINNING), until=1)

    await asyncio.wait_for(ended.wait(), 5)


async def test_a_store_that_is_known_is_named_also_where_the_start_did_not(
    client: Client, script: Script
) -> None:
    said = Messages(
        [
            [mark(0, store_id=OTHER_STORE), GONE],
            [mark(0, store_id=OTHER_STORE), event(1)],
        ]
    )
    script.on("WatchOrders", said.watch)
    events = client.watch_orders(after=BEGINNING)

    async for _ in events:
        break

    first, second = script.requests("WatchOrders")
    assert (first.store_id, second.store_id) == ("", OTHER_STORE)
    assert events.position == Position(position=1, store_id=OTHER_STORE)
