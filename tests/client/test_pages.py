"""Lists are read page by page, or as a whole; each page demands what the first one did."""

from typing import Any

import pytest

from orderes.client import Client, Position, StoreMismatch
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.order_pb2 import Order
from orderes.v1.query_service_pb2 import (
    ListOrderEventsResponse,
    ListOrdersResponse,
    ListProductSalesResponse,
    ProductSales,
)
from tests.client.examples import GONE, MISMATCH, ORDER_ID, STORE, read_info
from tests.client.scripted import Script

AT_7 = Position(position=7, store_id=STORE)
DEMAND_7 = Consistency(min_position=7, store_id=STORE)


def page_of(*order_ids: str, token: str = "", position: int = 9) -> ListOrdersResponse:
    return ListOrdersResponse(
        orders=[Order(order_id=order_id) for order_id in order_ids],
        next_page_token=token,
        read_info=read_info(position),
    )


async def test_all_orders_of_a_list_come_page_by_page(
    client: Client, script: Script
) -> None:
    script.on(
        "ListOrders",
        page_of("o-1", "o-2", token="t-2"),
        GONE,
        page_of(token="t-3"),  # A filter may leave nothing of a page.
        page_of("o-3"),
    )

    orders = [o async for o in client.all_orders(customer_id="c-1", page_size=2)]

    assert [order.order_id for order in orders] == ["o-1", "o-2", "o-3"]
    requests = script.requests("ListOrders")
    assert [r.page_token for r in requests] == ["", "t-2", "t-2", "t-3"]
    assert {(r.customer_id, r.page_size) for r in requests} == {("c-1", 2)}


async def test_all_events_of_an_order_and_all_sales_come_so_too(
    client: Client, script: Script
) -> None:
    script.on(
        "ListOrderEvents",
        ListOrderEventsResponse(
            events=[RecordedEvent(position=1)], next_page_token="t"
        ),
        ListOrderEventsResponse(events=[RecordedEvent(position=2)]),
    )
    script.on(
        "ListProductSales",
        ListProductSalesResponse(
            product_sales=[ProductSales(day="2026-01-30")], next_page_token="t"
        ),
        ListProductSalesResponse(product_sales=[ProductSales(day="2026-01-31")]),
    )

    events = [e async for e in client.all_order_events(order_id=ORDER_ID)]
    sales = [s async for s in client.all_product_sales(product_id="book")]

    assert [event.position for event in events] == [1, 2]
    assert [each.day for each in sales] == ["2026-01-30", "2026-01-31"]
    assert {r.order_id for r in script.requests("ListOrderEvents")} == {ORDER_ID}
    assert {r.product_id for r in script.requests("ListProductSales")} == {"book"}


async def test_later_pages_demand_what_the_first_one_did(
    client: Client, script: Script
) -> None:
    """A server binds a token to the demand of its first page, whatever is written meanwhile."""
    client.remember(AT_7)
    script.on("ListOrders", page_of("o-1", token="t-2"), page_of("o-2"))

    seen = []
    async for order in client.all_orders():
        seen.append(order.order_id)
        client.remember(Position(position=100, store_id=STORE))

    assert seen == ["o-1", "o-2"]
    assert [r.consistency for r in script.requests("ListOrders")] == [DEMAND_7] * 2


async def test_a_page_can_be_asked_for_by_another_client_with_its_token(
    client: Client, script: Script
) -> None:
    client.remember(AT_7)
    script.on("ListOrders", page_of("o-1", token="t-2"), page_of("o-2"))
    first = await client.list_orders()

    address = script.address
    async with Client(address, address) as other:
        other.remember(Position(position=3, store_id="store-3"))
        last = await other.list_orders(page_token=first.next_page_token)

    assert last.next_page_token == ""
    request = script.requests("ListOrders")[1]
    assert (request.page_token, request.consistency) == ("t-2", DEMAND_7)


@pytest.mark.parametrize("reading", [{"catch_up": False}, {"min_position": AT_7}])
async def test_without_a_demand_of_the_client_a_token_is_the_servers_own(
    client: Client, script: Script, reading: Any
) -> None:
    client.remember(AT_7)
    script.on("ListOrders", page_of("o-1", token="t-2"))

    page = await client.list_orders(**reading)
    await client.list_orders(page_token=page.next_page_token, **reading)

    assert page.next_page_token == "t-2"
    first, second = script.requests("ListOrders")
    assert second.page_token == "t-2"
    assert first.consistency == second.consistency


async def test_the_first_page_of_a_replaced_store_is_asked_for_again(
    client: Client, script: Script
) -> None:
    client.remember(AT_7)
    script.on("ListOrders", MISMATCH, page_of("o-1", token="t-2"), page_of("o-2"))

    orders = [order.order_id async for order in client.all_orders()]

    assert orders == ["o-1", "o-2"]
    demands = [r.consistency for r in script.requests("ListOrders")]
    assert demands == [DEMAND_7, Consistency(), Consistency()]


async def test_a_list_whose_store_is_replaced_in_the_middle_ends_with_an_error(
    client: Client, script: Script
) -> None:
    client.remember(AT_7)
    script.on("ListOrders", page_of("o-1", token="t-2"), MISMATCH)
    orders = client.all_orders()

    assert (await anext(orders)).order_id == "o-1"
    with pytest.raises(StoreMismatch):
        await anext(orders)

    assert len(script.calls["ListOrders"]) == 2


async def test_a_damaged_token_is_refused_here(client: Client) -> None:
    with pytest.raises(ValueError, match="is not a position"):
        await client.list_orders(page_token="x~t-2")
