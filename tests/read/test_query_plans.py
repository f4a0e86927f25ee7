"""A page of a list costs the same wherever it is: it is read from an index, never sorted."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Select

from contexts.orders.read.customer_summary import customers, payments
from contexts.orders.read.order_events import order_events
from contexts.orders.read.orders import order_products, orders
from contexts.orders.read.product_sales import sales
from contexts.orders.read.queries import answers_of, events_page, sort_keys
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.read.summaries import of_customer, sales_page
from contexts.orders.read.time_travel import events_of
from contexts.orders.read.watching.past import newest_events, page_of
from contexts.orders.read.watching.watched import Wanted
from contexts.orders.view import OrderState
from contexts.orders.wire.queries import (
    EventsFilter,
    EventSortKey,
    ListOrderEvents,
    ListOrders,
    OrderBy,
    OrdersFilter,
    OrderSortKey,
)
from contexts.orders.wire.summaries import ListProductSales, SalesFilter, SalesSortKey
from contexts.orders.wire.watching import WatchFilter
from eventcore.freshness import Requirement
from eventcore.page_tokens import PageStart
from eventcore.sql.sqlite import owner_engine
from tests.support.envelopes import an_id

ANY = Requirement()
ORDERS = [
    OrderBy(column=column, descending=descending)
    for column in ("place_time", "update_time")
    for descending in (True, False)
]


def within_bounds(orders_filter: OrdersFilter) -> OrdersFilter:
    return replace(orders_filter, placed_since=3, placed_before=7)


ALL = OrdersFilter(requirement=ANY)
CUSTOMER = replace(ALL, customer_id="customer-1")
STATE = replace(ALL, states=(OrderState.PAID,))
PRODUCT = replace(ALL, product_id="apples")
BY_EITHER_TIME = {
    "all": ALL,
    "customer": CUSTOMER,
    "state": STATE,
    "customer and state": replace(CUSTOMER, states=STATE.states),
    "customer and states": replace(
        CUSTOMER, states=(OrderState.PAID, OrderState.PLACED)
    ),
}
# The orders of a product, and those within bounds, lie in the order of their placing; by
# update_time they are sorted, which costs as much as there are.
BY_PLACE_TIME = {
    "product": PRODUCT,
    "product and customer": replace(PRODUCT, customer_id="customer-1"),
    "product and state": replace(PRODUCT, states=STATE.states),
    "bounds": within_bounds(ALL),
    "customer and bounds": within_bounds(CUSTOMER),
    "state and bounds": within_bounds(STATE),
    "product and bounds": within_bounds(PRODUCT),
}
CASES = [
    pytest.param(
        replace(orders_filter, order_by=by),
        id=f"{name} by {by.column}{' desc' if by.descending else ''}",
    )
    for name, orders_filter in (BY_EITHER_TIME | BY_PLACE_TIME).items()
    for by in ORDERS
    if name in BY_EITHER_TIME or by.column == "place_time"
]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """One for all: nobody here writes."""
    engine = owner_engine(tmp_path_factory.mktemp("plans") / "read.db", durable=False)
    with engine.begin() as connection:
        for projection in ORDER_PROJECTIONS:
            for table in projection.tables:
                table.create(connection)
        yield connection
    engine.dispose()


def plan_of(connection: Connection, statement: Select[Any]) -> list[str]:
    compiled = statement.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    names = compiled.positiontup or []
    values = tuple(compiled.params[name] for name in names)
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
    return [row.detail for row in rows]


def is_indexed(plan: list[str]) -> bool:
    return all(" INDEX " in step and "TEMP" not in step for step in plan)


def is_searched(plan: list[str]) -> bool:
    """It begins and ends in an index or the primary key, and nothing is sorted."""
    return len(plan) == 1 and plan[0].startswith("SEARCH")


@pytest.mark.parametrize("start", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("orders_filter", CASES)
def test_a_page_of_orders_comes_from_an_index(
    connection: Connection, orders_filter: OrdersFilter, *, start: bool
) -> None:
    query = ListOrders(
        filter=orders_filter,
        page_size=50,
        start=PageStart(after=OrderSortKey(5, b"x" * 16), first_position=1)
        if start
        else None,
    )
    plan = plan_of(connection, sort_keys(query, orders, order_products))
    assert is_indexed(plan), plan


@pytest.mark.parametrize("start", [False, True], ids=["first page", "later page"])
def test_a_page_of_events_comes_from_an_index(
    connection: Connection, *, start: bool
) -> None:
    query = ListOrderEvents(
        filter=EventsFilter(order_id=an_id(), requirement=ANY),
        page_size=100,
        start=PageStart(after=EventSortKey(5), first_position=1) if start else None,
    )
    plan = plan_of(connection, events_page(query, order_events))
    assert is_indexed(plan), plan


@pytest.mark.parametrize(
    "orders_filter",
    [ALL, CUSTOMER, STATE, PRODUCT],
    ids=["all", "customer", "state", "product"],
)
def test_bounds_are_where_the_index_begins_and_ends(
    connection: Connection, orders_filter: OrdersFilter
) -> None:
    query = ListOrders(filter=within_bounds(orders_filter), page_size=50)
    plan = plan_of(connection, sort_keys(query, orders, order_products))
    assert "place_time>? AND place_time<?" in plan[0], plan


@pytest.mark.parametrize(
    "bounded",
    [
        replace(
            ALL, placed_since=4, order_by=OrderBy(column="place_time", descending=False)
        ),
        replace(
            ALL, placed_before=9, order_by=OrderBy(column="place_time", descending=True)
        ),
    ],
    ids=["since", "before"],
)
def test_a_later_page_begins_where_the_one_before_has_ended(
    connection: Connection, bounded: OrdersFilter
) -> None:
    start = PageStart(after=OrderSortKey(5, b"x" * 16), first_position=1)
    query = ListOrders(filter=bounded, page_size=50, start=start)
    plan = plan_of(connection, sort_keys(query, orders, order_products))
    assert "(place_time,order_id)" in plan[0], plan


def test_what_an_order_was_comes_from_an_index(connection: Connection) -> None:
    query = events_of(order_events, an_id(), after_position=1, last_position=9)
    plan = plan_of(connection, query)
    assert is_searched(plan), plan
    assert "order_events_by_order (order_id=? AND position>" in plan[0], plan


def test_the_totals_of_a_customer_come_from_the_key(connection: Connection) -> None:
    for table in (customers, payments):
        plan = plan_of(connection, of_customer(table, "customer-1"))
        assert is_searched(plan), plan
        assert "(customer_id=?)" in plan[0], plan


def test_orders_that_are_asked_for_together_come_from_the_key(
    connection: Connection,
) -> None:
    plan = plan_of(connection, answers_of(orders, [b"x" * 16, b"y" * 16]))
    assert is_searched(plan), plan
    assert "(order_id=?)" in plan[0], plan


SALES = {
    "all": ("", ""),
    "product": ("apples", ""),
    "days": ("", "2026-01-01"),
    "product and days": ("apples", "2026-01-01"),
}


@pytest.mark.parametrize("start", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize(("product_id", "since_day"), SALES.values(), ids=SALES)
def test_a_page_of_sales_comes_from_an_index(
    connection: Connection, product_id: str, since_day: str, *, start: bool
) -> None:
    sales_filter = SalesFilter(
        requirement=ANY,
        product_id=product_id,
        since_day=since_day,
        until_day=since_day and "2026-12-31",
    )
    after = SalesSortKey("2026-05-05", "apples", "EUR")
    query = ListProductSales(
        filter=sales_filter,
        page_size=50,
        start=PageStart(after=after, first_position=1) if start else None,
    )
    plan = plan_of(connection, sales_page(query, sales))
    # The first page of all begins where the index does.
    assert is_searched(plan) or (not (product_id or since_day or start)), plan
    assert is_indexed(plan), plan


WATCHED = {
    "all": WatchFilter(),
    "customer": WatchFilter(customer_id="customer-1"),
    "types": WatchFilter(event_types=frozenset({"OrderPlaced"})),
}


@pytest.mark.parametrize("watch_filter", WATCHED.values(), ids=WATCHED)
def test_what_is_watched_is_read_between_two_positions(
    connection: Connection, watch_filter: WatchFilter
) -> None:
    page = page_of(order_events, Wanted(watch_filter), 5, 5_000, 64)
    plan = plan_of(connection, page)
    assert is_searched(plan), plan
    assert re.search("(position|rowid)>\\? AND (position|rowid)<\\?", plan[0]), plan


def test_watched_orders_are_read_from_their_own_events_only(
    connection: Connection,
) -> None:
    wanted = Wanted(WatchFilter(order_ids=frozenset({an_id(), an_id()})))
    plan = plan_of(connection, page_of(order_events, wanted, 5, 5_000, 64))
    assert "(order_id=? AND position>? AND position<?)" in plan[0], plan


def test_what_is_new_is_read_by_position(connection: Connection) -> None:
    plan = plan_of(connection, newest_events(order_events, 5, 9, 256))
    assert is_searched(plan), plan
