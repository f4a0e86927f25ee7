"""ListOrders: every filter, every order, and pages that neither repeat nor skip."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.events import OrderLineAdded, OrderLineRemoved
from contexts.orders.wire.queries import (
    ORDER_PAGE_TOKENS,
    OrdersFilter,
    OrderSortKey,
    list_orders,
)
from eventcore.fields import FieldFaults
from eventcore.freshness import Requirement
from eventcore.page_tokens import PageStart
from orderes.v1 import order_pb2
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import ListOrdersRequest, ListOrdersResponse
from tests.orders.examples import (
    CANCELLED_ORDER,
    DELIVERED_ORDER,
    PAID_ORDER,
    PARTLY_PAID_ORDER,
    SHIPPED_ORDER,
    line,
)
from tests.read_server.scene import Scene, at, placed
from tests.support.order_log import SECOND, START
from tests.support.rpc import failure_of


async def listed(scene: Scene, **fields: Any) -> list[str]:
    """The ids of the first page."""
    answer = await scene.queries.ListOrders(ListOrdersRequest(**fields))
    return [order.order_id for order in answer.orders]


async def pages(scene: Scene, **fields: Any) -> AsyncIterator[ListOrdersResponse]:
    """Every page of a list."""
    token = ""
    while True:
        page = await scene.queries.ListOrders(
            ListOrdersRequest(page_token=token, **fields)
        )
        yield page
        token = page.next_page_token
        if not token:
            return


async def all_listed(scene: Scene, **fields: Any) -> list[str]:
    return [
        order.order_id async for page in pages(scene, **fields) for order in page.orders
    ]


async def place_many(scene: Scene, count: int) -> list[str]:
    order_ids = [await scene.place(project=False) for _ in range(count)]
    await scene.project()
    return order_ids


async def test_there_may_be_none(scene: Scene) -> None:
    answer = await scene.queries.ListOrders(ListOrdersRequest())
    assert (len(answer.orders), answer.next_page_token) == (0, "")


async def test_the_newest_come_first(scene: Scene) -> None:
    order_ids = await place_many(scene, 3)
    assert await listed(scene) == order_ids[::-1]
    assert await listed(scene, order_by="place_time desc") == order_ids[::-1]
    assert await listed(scene, order_by=" place_time  desc ") == order_ids[::-1]


async def test_the_oldest_come_first_if_asked_for(scene: Scene) -> None:
    order_ids = await place_many(scene, 3)
    assert await listed(scene, order_by="place_time") == order_ids


async def test_they_may_be_ordered_by_their_last_change(scene: Scene) -> None:
    first, second, third = await place_many(scene, 3)
    await scene.place(*PAID_ORDER[1:], order_id=first)
    assert await listed(scene, order_by="update_time") == [second, third, first]
    assert await listed(scene, order_by="update_time desc") == [first, third, second]


async def test_orders_are_listed_as_they_are_got(scene: Scene) -> None:
    order_id = await scene.place(*SHIPPED_ORDER)
    answer = await scene.queries.ListOrders(ListOrdersRequest())
    assert answer.orders[0].order_id == order_id
    assert answer.orders[0].shipment.tracking_number == "T-1"
    assert answer.read_info.position == 5


async def test_only_of_a_customer(scene: Scene) -> None:
    mine = await scene.place(placed(customer_id="me"))
    await scene.place(placed(customer_id="you"))
    assert await listed(scene, customer_id="me") == [mine]
    assert await listed(scene, customer_id="nobody") == []


async def test_only_in_some_states(scene: Scene) -> None:
    by_state = {
        order_pb2.ORDER_STATE_PLACED: await scene.place(*PARTLY_PAID_ORDER),
        order_pb2.ORDER_STATE_PAID: await scene.place(*PAID_ORDER),
        order_pb2.ORDER_STATE_SHIPPED: await scene.place(*SHIPPED_ORDER),
        order_pb2.ORDER_STATE_DELIVERED: await scene.place(*DELIVERED_ORDER),
        order_pb2.ORDER_STATE_CANCELLED: await scene.place(*CANCELLED_ORDER),
    }
    for state, order_id in by_state.items():
        assert await listed(scene, states=[state]) == [order_id]
    both = [order_pb2.ORDER_STATE_PAID, order_pb2.ORDER_STATE_CANCELLED]
    assert await listed(scene, states=both) == [by_state[both[1]], by_state[both[0]]]
    assert len(await listed(scene, states=[*by_state, *by_state])) == 5


async def test_only_with_a_product(scene: Scene) -> None:
    apples = await scene.place(placed("apples", "bread"))
    bread = await scene.place(placed("bread"))
    assert await listed(scene, product_id="bread") == [bread, apples]
    assert await listed(scene, product_id="apples") == [apples]
    assert await listed(scene, product_id="bread", order_by="update_time") == [
        apples,
        bread,
    ]


async def test_a_product_counts_from_when_it_is_added_until_it_is_removed(
    scene: Scene,
) -> None:
    order_id = await scene.place(placed("apples"))
    await scene.place(OrderLineAdded(line=line("bread")), order_id=order_id)
    assert await listed(scene, product_id="bread") == [order_id]
    await scene.place(OrderLineRemoved(product_id="bread"), order_id=order_id)
    assert await listed(scene, product_id="bread") == []
    assert await listed(scene, product_id="apples") == [order_id]


@pytest.mark.parametrize("product_id", ["", "apples"])
async def test_only_placed_within_a_time(scene: Scene, product_id: str) -> None:
    """From the first bound on, and before the second one."""
    _, second, third, _ = await place_many(scene, 4)
    found = await listed(
        scene,
        placed_since=at(START + SECOND),
        placed_before=at(START + 3 * SECOND),
        product_id=product_id,
    )
    assert found == [third, second]


async def test_bounds_between_two_microseconds_are_exact(scene: Scene) -> None:
    (order_id,) = await place_many(scene, 1)
    after = at(START)
    after.nanos += 1
    assert await listed(scene, placed_since=after) == []
    assert await listed(scene, placed_before=after) == [order_id]
    assert await listed(scene, placed_before=at(START)) == []


async def test_filters_must_all_match(scene: Scene) -> None:
    wanted = await scene.place(placed("apples", customer_id="me"))
    await scene.place(placed("bread", customer_id="me"))
    await scene.place(placed("apples", customer_id="you"))
    await scene.place(*SHIPPED_ORDER)
    found = await listed(
        scene,
        customer_id="me",
        product_id="apples",
        states=[order_pb2.ORDER_STATE_PLACED],
        placed_since=at(START),
    )
    assert found == [wanted]


@pytest.mark.parametrize(
    "order_by", ["place_time", "place_time desc", "update_time", "update_time desc"]
)
@pytest.mark.parametrize("product_id", ["", "apples"])
async def test_pages_put_together_are_the_list(
    scene: Scene, order_by: str, product_id: str
) -> None:
    order_ids = await place_many(scene, 7)
    expected = order_ids[::-1] if order_by.endswith("desc") else order_ids
    for page_size in (1, 2, 3, 7, 8):
        found = await all_listed(
            scene, page_size=page_size, order_by=order_by, product_id=product_id
        )
        assert found == expected


@pytest.mark.parametrize(
    "order_by", ["place_time", "place_time desc", "update_time", "update_time desc"]
)
@pytest.mark.parametrize("product_id", ["", "apples"])
async def test_pages_within_bounds_put_together_are_what_lies_within(
    scene: Scene, order_by: str, product_id: str
) -> None:
    order_ids = await place_many(scene, 9)
    within = order_ids[2:7]
    expected = within[::-1] if order_by.endswith("desc") else within
    for page_size in (1, 2, 5):
        found = await all_listed(
            scene,
            page_size=page_size,
            order_by=order_by,
            product_id=product_id,
            placed_since=at(START + 2 * SECOND),
            placed_before=at(START + 7 * SECOND),
        )
        assert found == expected


async def test_orders_of_the_same_moment_are_paged_like_others(scene: Scene) -> None:
    order_ids = []
    for _ in range(5):
        scene.log.now = START
        order_ids.append(await scene.place(project=False))
    await scene.project()
    assert sorted(await all_listed(scene, page_size=2)) == sorted(order_ids)


async def test_orders_that_change_and_come_do_not_disturb_the_pages(
    scene: Scene,
) -> None:
    order_ids = await place_many(scene, 6)
    found: list[str] = []
    async for page in pages(scene, page_size=2, order_by="place_time desc"):
        found += [order.order_id for order in page.orders]
        await scene.place()
        await scene.place(*PAID_ORDER[1:2], order_id=order_ids.pop())
    assert len(found) == len(set(found)) == 6


async def test_the_size_of_a_page_has_a_default_and_a_limit(scene: Scene) -> None:
    await place_many(scene, 510)
    assert len(await listed(scene)) == 50
    assert len(await listed(scene, page_size=3)) == 3
    assert len(await listed(scene, page_size=500)) == 500
    assert len(await listed(scene, page_size=2**31 - 1)) == 500


async def test_a_page_of_large_orders_is_cut_before_it_is_too_large(
    scene: Scene,
) -> None:
    """A client takes 4 MiB; sixty orders of two hundred long lines are more than that."""
    lines = placed(*(f"{'é' * 120}{number}" for number in range(200)))
    order_ids = [await scene.place(lines, project=False) for _ in range(80)]
    await scene.project()
    sizes = []
    found: list[str] = []
    async for page in pages(scene, page_size=500):
        sizes.append(page.ByteSize())
        found += [order.order_id for order in page.orders]
    assert found == order_ids[::-1]
    assert len(sizes) > 1
    assert max(sizes) < 4 * 1024 * 1024


async def test_later_pages_are_never_older_than_the_first(scene: Scene) -> None:
    """A server that is behind the one of the first page says "not yet", or catches up."""
    order_id = await scene.place()
    wait = Consistency()
    wait.max_wait.FromMilliseconds(50)
    token = ORDER_PAGE_TOKENS.write(
        PageStart(after=OrderSortKey(2**62, b"\xff" * 16), first_position=2),
        query=OrdersFilter(requirement=Requirement(max_wait_seconds=0.05)),
    )
    request = ListOrdersRequest(page_token=token, consistency=wait)
    failure = await failure_of(scene.queries.ListOrders(request))
    assert failure.reason == "PROJECTION_LAGGING"
    other_id = await scene.place()
    answer = await scene.queries.ListOrders(request)
    assert [order.order_id for order in answer.orders] == [other_id, order_id]


async def test_a_token_belongs_to_its_query(scene: Scene) -> None:
    await place_many(scene, 3)
    page = await scene.queries.ListOrders(ListOrdersRequest(page_size=1))
    request = ListOrdersRequest(page_token=page.next_page_token, customer_id="you")
    failure = await failure_of(scene.queries.ListOrders(request))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {"page_token"}
    assert "another query" in failure.violations["page_token"]


@pytest.mark.parametrize("order_by", ["place_time", "place_time desc"])
async def test_a_token_that_was_made_up_shows_nothing_beyond_the_bounds(
    scene: Scene, order_by: str
) -> None:
    _, within, _ = await place_many(scene, 3)
    bounded = ListOrdersRequest(
        order_by=order_by,
        placed_since=at(START + SECOND),
        placed_before=at(START + 2 * SECOND),
    )
    start = PageStart(after=OrderSortKey(0, b"\x00" * 16), first_position=1)
    if order_by.endswith("desc"):
        start = PageStart(after=OrderSortKey(2**62, b"\xff" * 16), first_position=1)
    query = list_orders(bounded, FieldFaults())
    bounded.page_token = ORDER_PAGE_TOKENS.write(start, query=query.filter)
    answer = await scene.queries.ListOrders(bounded)
    assert [order.order_id for order in answer.orders] == [within]


async def test_the_same_query_may_be_said_in_other_words(scene: Scene) -> None:
    order_ids = await place_many(scene, 3)
    states = [order_pb2.ORDER_STATE_PLACED, order_pb2.ORDER_STATE_PAID]
    page = await scene.queries.ListOrders(ListOrdersRequest(page_size=1, states=states))
    found = await listed(
        scene,
        page_size=5,
        page_token=page.next_page_token,
        states=states[::-1],
        order_by="place_time  desc",
    )
    assert found == order_ids[1::-1]


NO_STATES: Any = (0, 99)


async def test_all_wrong_fields_are_named_at_once(scene: Scene) -> None:
    request = ListOrdersRequest(
        page_size=-1,
        page_token="x",
        customer_id="c" * 129,
        states=[order_pb2.ORDER_STATE_PLACED, *NO_STATES],
        product_id="p\n",
        placed_since=Timestamp(seconds=2**62),
        placed_before=Timestamp(nanos=-1),
        order_by="price",
        consistency=Consistency(min_position=-5),
    )
    failure = await failure_of(scene.queries.ListOrders(request))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {
        "page_size",
        "page_token",
        "customer_id",
        "states[1]",
        "states[2]",
        "product_id",
        "placed_since",
        "placed_before",
        "order_by",
        "consistency.min_position",
    }


async def test_the_ends_of_time_are_allowed(scene: Scene) -> None:
    order_id = await scene.place()
    first = Timestamp(seconds=-62_135_596_800)
    last = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
    assert await listed(scene, placed_since=first, placed_before=last) == [order_id]
