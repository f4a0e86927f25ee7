"""min_position: no answer is older than asked for; it waits, within bounds, or says "not yet"."""

import asyncio
import time

import grpc
import pytest

from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
)
from tests.orders.examples import PAID_ORDER
from tests.read_server.scene import STORE_ID, Scene, placed
from tests.support.envelopes import an_id
from tests.support.rpc import failure_of

DRAIN_SECONDS_MAX = 5.0
"""Half of the grace: longer, and the drain has waited for somebody."""


def at_least(position: int, *, max_wait_seconds: float | None = None) -> Consistency:
    consistency = Consistency(min_position=position)
    if max_wait_seconds is not None:
        consistency.max_wait.FromMilliseconds(round(1000 * max_wait_seconds))
    return consistency


def get(order_id: str, consistency: Consistency) -> GetOrderRequest:
    return GetOrderRequest(order_id=order_id, consistency=consistency)


async def test_a_position_that_is_reached_is_answered_at_once(scene: Scene) -> None:
    order_id = await scene.place()
    answer = await scene.queries.GetOrder(get(order_id, at_least(1)))
    assert answer.read_info.position == 1


async def test_a_position_to_come_is_waited_for(scene: Scene) -> None:
    order_id = await scene.place(project=False)
    waiting = asyncio.ensure_future(
        scene.queries.GetOrder(get(order_id, at_least(1, max_wait_seconds=20)))
    )
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await scene.project()
    answer = await waiting
    assert answer.order.order_id == order_id
    assert answer.read_info.position == 1


async def test_every_write_can_be_read_by_its_position(scene: Scene) -> None:
    """A hundred writes, each read back while it is projected: no wake-up is lost.

    The poll is so rare that one lost wake-up would fail the test.
    """
    for _ in range(100):
        order_id = an_id()
        (event,) = scene.append(order_id, placed())
        request = get(order_id, at_least(event.position, max_wait_seconds=10))
        answer, _ = await asyncio.gather(
            scene.queries.GetOrder(request), scene.project()
        )
        assert answer.order.order_id == order_id


async def test_many_wait_for_different_positions(scene: Scene) -> None:
    order_ids = [an_id() for _ in range(50)]
    waiting = [
        asyncio.ensure_future(
            scene.queries.GetOrder(
                get(order_id, at_least(position, max_wait_seconds=20))
            )
        )
        for position, order_id in enumerate(order_ids, start=1)
    ]
    for order_id in order_ids:
        scene.append(order_id, placed())
        await scene.project()
    answers = await asyncio.gather(*waiting)
    assert [answer.order.order_id for answer in answers] == order_ids


@pytest.mark.parametrize("max_wait_seconds", [0, 0.05])
async def test_a_position_that_does_not_come_is_not_yet(
    scene: Scene, max_wait_seconds: float
) -> None:
    order_id = await scene.place()
    request = get(order_id, at_least(7, max_wait_seconds=max_wait_seconds))
    failure = await failure_of(scene.queries.GetOrder(request))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "PROJECTION_LAGGING",
    )
    assert failure.metadata["min_position"] == "7"
    assert failure.metadata["position"] == "1"
    assert "RetryInfo" in failure.details
    assert "grpc-retry-pushback-ms" in failure.trailers


async def test_without_a_wait_what_is_there_is_still_seen(scene: Scene) -> None:
    """The server looks; it does not answer from what it saw last."""
    order_id = await scene.place(project=False)
    await scene.project()
    request = get(order_id, at_least(1, max_wait_seconds=0))
    assert (await scene.queries.GetOrder(request)).order.order_id == order_id


async def test_the_wait_never_passes_the_deadline(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before it, so that the answer still arrives; here with time for a busy machine."""
    monkeypatch.setattr("read_server.consistency.ANSWER_SECONDS", 7.9)
    order_id = await scene.place()
    request = get(order_id, at_least(7, max_wait_seconds=20))
    failure = await failure_of(scene.queries.GetOrder(request, timeout=8))
    assert failure.reason == "PROJECTION_LAGGING"


async def test_a_caller_that_leaves_leaves_nothing_behind(scene: Scene) -> None:
    order_id = await scene.place(project=False)
    call = scene.queries.GetOrder(get(order_id, at_least(1, max_wait_seconds=20)))
    await asyncio.wait([asyncio.ensure_future(call.code())], timeout=0.05)
    call.cancel()
    await scene.project()
    answer = await scene.queries.GetOrder(get(order_id, at_least(1)))
    assert answer.order.order_id == order_id


async def test_a_drain_does_not_wait_for_those_who_wait(scene: Scene) -> None:
    order_id = await scene.place()
    waiting = asyncio.ensure_future(
        failure_of(
            scene.queries.GetOrder(get(order_id, at_least(7, max_wait_seconds=30)))
        )
    )
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    started_at = time.monotonic()
    await scene.server.stop()
    assert (await waiting).reason == "SHUTTING_DOWN"
    assert time.monotonic() - started_at < DRAIN_SECONDS_MAX


async def test_lists_wait_as_well(scene: Scene) -> None:
    order_id = an_id()
    consistency = at_least(4, max_wait_seconds=20)
    orders = asyncio.ensure_future(
        scene.queries.ListOrders(ListOrdersRequest(consistency=consistency))
    )
    events = asyncio.ensure_future(
        scene.queries.ListOrderEvents(
            ListOrderEventsRequest(order_id=order_id, consistency=consistency)
        )
    )
    await scene.place(*PAID_ORDER, order_id=order_id)
    assert [order.order_id for order in (await orders).orders] == [order_id]
    assert len((await events).events) == 4


@pytest.mark.parametrize("min_position", [None, 1, 9])
async def test_a_position_of_another_store_is_a_mismatch(
    scene: Scene, min_position: int | None
) -> None:
    order_id = await scene.place()
    consistency = Consistency(store_id=an_id())
    if min_position is not None:
        consistency.min_position = min_position
    failure = await failure_of(scene.queries.GetOrder(get(order_id, consistency)))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STORE_MISMATCH",
    )
    assert failure.metadata["store_id"] == STORE_ID


async def test_a_position_of_this_store_is_welcome(scene: Scene) -> None:
    order_id = await scene.place()
    consistency = Consistency(min_position=1, store_id=STORE_ID)
    answer = await scene.queries.GetOrder(get(order_id, consistency))
    assert answer.read_info.store_id == STORE_ID
