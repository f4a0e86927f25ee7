"""How old an answer is, and may be; a projector that stands still shows as a lag that grows."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
import pytest

from orderes.v1.consistency_pb2 import Consistency, ReadInfo
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
    ListProductSalesRequest,
)
from tests.read_server.scene import Scene
from tests.support.order_log import SECOND
from tests.support.rpc import failure_of

Ask: TypeAlias = Callable[[Scene, str, Consistency], Any]
"""Asks one of the queries for an order, as fresh as is said."""

QUERIES: dict[str, Ask] = {
    "GetOrder": lambda scene, order_id, fresh: scene.queries.GetOrder(
        GetOrderRequest(order_id=order_id, consistency=fresh)
    ),
    "GetOrder as of a version": lambda scene, order_id, fresh: scene.queries.GetOrder(
        GetOrderRequest(order_id=order_id, version=1, consistency=fresh)
    ),
    "ListOrders": lambda scene, _, fresh: scene.queries.ListOrders(
        ListOrdersRequest(consistency=fresh)
    ),
    "ListOrderEvents": lambda scene, order_id, fresh: scene.queries.ListOrderEvents(
        ListOrderEventsRequest(order_id=order_id, consistency=fresh)
    ),
    "GetCustomerSummary": lambda scene, _, fresh: scene.queries.GetCustomerSummary(
        GetCustomerSummaryRequest(customer_id="customer-1", consistency=fresh)
    ),
    "ListProductSales": lambda scene, _, fresh: scene.queries.ListProductSales(
        ListProductSalesRequest(consistency=fresh)
    ),
}
EVERY_QUERY = pytest.mark.parametrize("ask", QUERIES.values(), ids=QUERIES)


def fresh(
    *,
    staleness_seconds: int | None = None,
    wait_ms: int = 0,
    **fields: Any,
) -> Consistency:
    """The demand; by default without a wait."""
    consistency = Consistency(**fields)
    if staleness_seconds is not None:
        consistency.max_staleness.FromSeconds(staleness_seconds)
    consistency.max_wait.FromMilliseconds(wait_ms)
    return consistency


async def info_of(scene: Scene, order_id: str) -> ReadInfo:
    info: ReadInfo = (
        await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
    ).read_info
    return info


async def test_while_the_projector_stands_still_the_lag_grows(scene: Scene) -> None:
    """Also where nothing happens: nobody knows that, while it stands still."""
    order_id = await scene.place()
    lags = {}
    for scene.later in (0, 2 * SECOND - 1, 2 * SECOND, 3600 * SECOND):
        lags[scene.later] = (await info_of(scene, order_id)).lag.ToMicroseconds()
    assert lags == {
        0: 0,
        2 * SECOND - 1: 0,
        2 * SECOND: 2 * SECOND,
        3600 * SECOND: 3600 * SECOND,
    }


async def test_a_projector_that_lives_shows_no_lag_though_nothing_happens(
    scene: Scene,
) -> None:
    order_id = await scene.place()
    for scene.later in (60 * SECOND, 120 * SECOND):
        await scene.beat()
        info = await info_of(scene, order_id)
        assert (info.lag.ToMicroseconds(), info.position) == (0, 1)


@EVERY_QUERY
async def test_what_is_too_old_is_not_yet_or_is_answered_as_stale(
    scene: Scene, ask: Ask
) -> None:
    order_id = await scene.place()
    scene.later = 8 * SECOND
    answer = await ask(scene, order_id, fresh(staleness_seconds=8))
    assert answer.read_info.lag.ToMicroseconds() == 8 * SECOND
    assert not answer.read_info.stale
    failure = await failure_of(ask(scene, order_id, fresh(staleness_seconds=7)))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "PROJECTION_LAGGING",
    )
    assert failure.metadata["position"] == "1"
    assert failure.details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert "grpc-retry-pushback-ms" in failure.trailers
    demand = fresh(staleness_seconds=7, wait_ms=10, allow_stale=True)
    answer = await ask(scene, order_id, demand)
    assert (answer.read_info.stale, answer.read_info.position) == (True, 1)


async def test_what_is_too_old_is_waited_for_until_the_projector_shows_that_it_lives(
    scene: Scene,
) -> None:
    order_id = await scene.place()
    scene.later = 8 * SECOND
    demand = fresh(staleness_seconds=7, wait_ms=20_000)
    waiting = asyncio.ensure_future(QUERIES["GetOrder"](scene, order_id, demand))
    while not waiting.done():
        await scene.beat()
    assert not (await waiting).read_info.stale


async def test_a_position_that_does_not_come_is_answered_as_stale_if_that_is_allowed(
    scene: Scene,
) -> None:
    order_id = await scene.place()
    demand = fresh(min_position=2, wait_ms=10, allow_stale=True)
    answer = await QUERIES["GetOrder"](scene, order_id, demand)
    assert (answer.read_info.stale, answer.read_info.position) == (True, 1)
    await scene.place()
    answer = await QUERIES["GetOrder"](scene, order_id, demand)
    assert (answer.read_info.stale, answer.read_info.position) == (False, 2)


async def test_a_position_of_another_store_is_never_stale(scene: Scene) -> None:
    order_id = await scene.place()
    demand = fresh(min_position=1, allow_stale=True, store_id="other")
    failure = await failure_of(QUERIES["GetOrder"](scene, order_id, demand))
    assert failure.reason == "STORE_MISMATCH"
