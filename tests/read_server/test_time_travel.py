"""GetOrder as of a version or a time: the fold of the audit trail up to there."""

import asyncio

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.events import (
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
)
from contexts.orders.read.order_events import ORDER_EVENTS
from orderes.v1 import order_pb2
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import GetOrderRequest
from tests.orders.examples import CANCELLED_ORDER, PLACED, REFUND, REFUNDED_ORDER, line
from tests.read_server.scene import Scene, at
from tests.support.envelopes import an_id
from tests.support.order_log import START
from tests.support.rpc import Failure, failure_of

LIVES: dict[str, tuple[OrderEvent, ...]] = {
    "delivered and paid back": REFUNDED_ORDER,
    "cancelled and paid back": (*CANCELLED_ORDER, REFUND),
}


async def order_as_of(scene: Scene, order_id: str, version: int) -> order_pb2.Order:
    request = GetOrderRequest(order_id=order_id, version=version)
    order: order_pb2.Order = (await scene.queries.GetOrder(request)).order
    return order


async def failure_as_of(scene: Scene, request: GetOrderRequest) -> Failure:
    return await failure_of(scene.queries.GetOrder(request))


@pytest.mark.parametrize("events", LIVES.values(), ids=LIVES)
async def test_as_of_each_version_it_is_what_it_was_then(
    scene: Scene, events: tuple[OrderEvent, ...]
) -> None:
    order_id = an_id()
    then: list[order_pb2.Order] = []
    for event in events:
        await scene.place(event, order_id=order_id)
        answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
        then.append(answer.order)
    for version, order in enumerate(then, start=1):
        assert await order_as_of(scene, order_id, version) == order


async def test_as_of_a_time_it_has_the_events_that_were_stored_until_then(
    scene: Scene,
) -> None:
    order_id = an_id()
    for event in REFUNDED_ORDER:
        await scene.place(event, order_id=order_id)
    versions = [
        (await scene.queries.GetOrder(GetOrderRequest(order_id=order_id, time=moment)))
        for moment in (at(START), at(START + 1), at(scene.log.now))
    ]
    last = len(REFUNDED_ORDER)
    assert [answer.order.version for answer in versions] == [1, 1, last]


async def test_before_its_first_event_there_is_no_order(scene: Scene) -> None:
    order_id = await scene.place()
    failure = await failure_as_of(
        scene, GetOrderRequest(order_id=order_id, time=at(START - 1))
    )
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "ORDER_NOT_FOUND",
    )
    assert "at that time" in failure.message


async def test_an_order_that_never_was_is_not_found(scene: Scene) -> None:
    failure = await failure_as_of(scene, GetOrderRequest(order_id=an_id(), version=1))
    assert failure.reason == "ORDER_NOT_FOUND"


async def test_a_version_that_it_has_not_had_is_out_of_range(scene: Scene) -> None:
    order_id = await scene.place()
    failure = await failure_as_of(scene, GetOrderRequest(order_id=order_id, version=2))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.OUT_OF_RANGE,
        "VERSION_OUT_OF_RANGE",
    )
    assert failure.metadata["newest_version"] == "1"
    assert "give min_position" in failure.message


async def test_a_version_and_a_time_that_cannot_be_are_named(scene: Scene) -> None:
    for wrong in (
        GetOrderRequest(order_id=an_id(), version=0),
        GetOrderRequest(order_id=an_id(), time=Timestamp(seconds=2**40)),
    ):
        failure = await failure_as_of(scene, wrong)
        assert set(failure.violations) == {wrong.WhichOneof("as_of")}


async def test_a_long_history_is_folded_in_pieces_that_miss_nothing(
    scene: Scene,
) -> None:
    changes = [
        OrderLineQuantityChanged(
            product_id="apples", old_quantity=number + 1, new_quantity=number + 2
        )
        for number in range(250)
    ]
    order_id = await scene.place(PLACED, *changes)
    for version in (99, 100, 101, 200, 251):
        order = await order_as_of(scene, order_id, version)
        assert (order.version, order.lines[0].quantity) == (version, version)


async def test_a_version_that_was_left_out_is_what_there_was_before_it(
    scene: Scene,
) -> None:
    """It has had that version: there are newer ones."""
    order_id = await scene.place(PLACED)
    (event,) = scene.append(order_id, OrderLineAdded(line=line("pears")))
    behind = await scene.behind()
    await asyncio.to_thread(behind.leave_out, ORDER_EVENTS, event)
    await scene.place(OrderLineAdded(line=line("plums")), order_id=order_id)
    found = [(await order_as_of(scene, order_id, asked)).version for asked in (1, 2, 3)]
    assert found == [1, 1, 3]
    failure = await failure_as_of(scene, GetOrderRequest(order_id=order_id, version=4))
    assert failure.metadata["newest_version"] == "3"


async def test_it_waits_for_the_position_that_is_demanded(scene: Scene) -> None:
    order_id = await scene.place(project=False)
    request = GetOrderRequest(
        order_id=order_id, version=1, consistency=Consistency(min_position=1)
    )
    waiting = scene.queries.GetOrder(request)
    await scene.project()
    assert (await waiting).order.version == 1
