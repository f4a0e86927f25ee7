"""WatchOrders over the wire: the past, then what happens; nothing twice, nothing missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from contexts.orders.events import OrderLineAdded
from orderes.v1.query_service_pb2 import ListOrderEventsRequest
from tests.orders.examples import PAID_ORDER, line
from tests.read_server.scene import NEVER, STORE_ID, Scene, placed
from tests.read_server.watching import OFTEN, refused, watching
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import failure_of


async def test_the_past_comes_first_and_then_what_happens(scene: Scene) -> None:
    order_id = await scene.place(*PAID_ORDER)
    async with watching(scene, after_position=0) as watcher:
        assert (watcher.marks[0].position, watcher.marks[0].caught_up) == (0, False)
        await watcher.caught_up()
        assert watcher.positions == [1, 2, 3, 4]
        assert (watcher.marks[-1].position, watcher.marks[-1].store_id) == (4, STORE_ID)
        await scene.place()
        await watcher.read_until(lambda: len(watcher.events) == 5)
    listed = await scene.queries.ListOrderEvents(
        ListOrderEventsRequest(order_id=order_id)
    )
    assert watcher.events[:4] == list(listed.events)


async def test_without_a_position_it_begins_with_what_is_new(scene: Scene) -> None:
    await scene.place(*PAID_ORDER)
    async with watching(scene) as watcher:
        assert (watcher.marks[0].position, watcher.marks[0].caught_up) == (4, True)
        await scene.place()
        await watcher.read_until(lambda: bool(watcher.events))
    assert watcher.positions == [5]


FILTERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "orders": lambda orders: {"order_ids": [orders[0], orders[2].upper()]},
    "customer": lambda _: {"customer_id": "customer-2"},
    "types": lambda _: {"event_types": ["OrderPlaced", "OrderPaid"]},
    "customer and types": lambda _: {
        "customer_id": "customer-1",
        "event_types": ["OrderPlaced"],
    },
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fields", FILTERS.values(), ids=FILTERS)
async def test_a_filter_holds_for_the_past_and_for_what_happens(
    scene: Scene, fields: Callable[[list[str]], dict[str, Any]]
) -> None:
    orders: list[str] = []

    async def more() -> None:
        others = (placed(customer_id="customer-2"),)
        orders.extend(
            [await scene.place(*events) for events in (PAID_ORDER, others, PAID_ORDER)]
        )

    await more()
    wanted = fields(orders)
    async with (
        watching(scene, after_position=0) as everything,
        watching(scene, after_position=0, **wanted) as watcher,
    ):
        await watcher.caught_up()
        await more()
        await scene.place(OrderLineAdded(line=line("pears")), order_id=orders[0])
        await scene.place(placed(customer_id="customer-2"), order_id=an_id())
        await everything.read_until(lambda: len(everything.events) == 20)
        expected = [
            event.position
            for event in everything.events
            if (
                event.order_id in {each.lower() for each in wanted["order_ids"]}
                if "order_ids" in wanted
                else is_wanted(event, wanted, everything.events)
            )
        ]
        await watcher.read_until(lambda: watcher.positions[-1:] == expected[-1:])
    assert watcher.positions == expected


def is_wanted(event: Any, wanted: dict[str, Any], events: list[Any]) -> bool:
    customers = {
        each.order_id: each.order_placed.customer_id
        for each in events
        if each.type == "OrderPlaced"
    }
    return customers[event.order_id] == wanted.get(
        "customer_id", customers[event.order_id]
    ) and event.type in wanted.get("event_types", [event.type])


async def test_a_client_that_does_not_read_holds_no_connection_of_the_store(
    scene: Scene,
) -> None:
    wide = [f"{number:03}" + "x" * 120 for number in range(100)]
    for _ in range(100):
        await scene.place(placed(*wide), project=False)
    await scene.project()
    async with watching(scene, after_position=0):
        # It is stuck in flow control, as it reads nothing beyond the first mark.
        await eventually(lambda: scene.server._watch._streams == 1)
        async with watching(scene, after_position=0) as other:
            await other.caught_up()
            assert len(other.events) == 100
        await scene.place()
        await eventually(lambda: scene.snapshots._open == 0)
    await eventually(lambda: scene.server._watch._streams == 0)


@pytest.mark.usefixtures("often")
async def test_marks_come_though_nothing_is_wanted(scene: Scene) -> None:
    async with watching(
        scene, customer_id="nobody", checkpoint_interval=OFTEN
    ) as watcher:
        await scene.place()
        await watcher.read_until(lambda: watcher.marks[-1].position == 1)
        await watcher.read()
    assert not watcher.events
    assert watcher.marks[-1].caught_up


@pytest.mark.usefixtures("often")
async def test_while_the_projector_stands_still_nobody_is_caught_up(
    scene: Scene,
) -> None:
    await scene.place()
    scene.later = 10_000_000
    async with watching(scene, after_position=0, checkpoint_interval=OFTEN) as watcher:
        await watcher.read_until(lambda: len(watcher.marks) > 1)
        assert watcher.positions == [1]
        assert not watcher.marks[-1].caught_up
        await scene.beat()
        await watcher.caught_up()


async def test_every_wrong_field_is_named(scene: Scene) -> None:
    failure = await refused(
        scene,
        after_position=-1,
        order_ids=["no"],
        customer_id="x" * 129,
        checkpoint_interval=Duration(seconds=61),
        store_id="x" * 65,
    )
    assert set(failure.violations) == {
        "after_position",
        "order_ids[0]",
        "customer_id",
        "checkpoint_interval",
        "store_id",
    }


async def test_more_streams_than_may_be_are_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, poll_seconds=NEVER, watch_streams_max=1)
    await scene.project()
    async with scene.running():
        await scene.ready()
        async with watching(scene):
            failure = await refused(scene)
            assert (failure.code, failure.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_CALLS",
            )
        await eventually(lambda: scene.server._watch._streams == 0)
        async with watching(scene) as again:
            assert again.marks


async def test_a_drain_ends_it_with_the_reason(scene: Scene) -> None:
    async with watching(scene) as watcher:
        stopping = asyncio.create_task(scene.server.stop())
        failure = await failure_of(watcher.read())
        await stopping
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "SHUTTING_DOWN",
    )
