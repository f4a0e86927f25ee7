"""A page of a list costs the same wherever it is: it is read from an index, never sorted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from contexts.orders.read.queries import _events_page, _sort_keys
from contexts.orders.read.tables import metadata
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


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = owner_engine(tmp_path / "read.db", durable=False)
    with engine.begin() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()


def plan_of(connection: Connection, query: ListOrders | ListOrderEvents) -> list[str]:
    statement = (
        _sort_keys(query) if isinstance(query, ListOrders) else _events_page(query)
    )
    compiled = statement.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    names = compiled.positiontup or []
    values = tuple(compiled.params[name] for name in names)
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
    return [row.detail for row in rows]


def is_indexed(plan: list[str]) -> bool:
    return all(" INDEX " in step and "TEMP" not in step for step in plan)


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
    plan = plan_of(connection, query)
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
    plan = plan_of(connection, query)
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
    plan = plan_of(connection, query)
    assert "place_time>? AND place_time<?" in plan[0], plan
