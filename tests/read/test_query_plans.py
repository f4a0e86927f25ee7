"""A page of a list costs the same wherever it is: it is read from an index, never sorted."""

from collections.abc import Iterator
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
FILTERS = {
    "all": OrdersFilter(requirement=ANY),
    "customer": OrdersFilter(requirement=ANY, customer_id="customer-1"),
    "state": OrdersFilter(requirement=ANY, states=(OrderState.PAID,)),
    "product": OrdersFilter(requirement=ANY, product_id="apples"),
}
ORDERS = [
    OrderBy(column=column, descending=descending)
    for column in ("place_time", "update_time")
    for descending in (True, False)
]
# The orders of a product lie in the order of their placing; by update_time they are sorted, which
# costs as much as the product has orders.
CASES = [
    pytest.param(
        name, by, id=f"{name} by {by.column}{' desc' if by.descending else ''}"
    )
    for name in FILTERS
    for by in ORDERS
    if (name, by.column) != ("product", "update_time")
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
@pytest.mark.parametrize(("name", "order_by"), CASES)
def test_a_page_of_orders_comes_from_an_index(
    connection: Connection, name: str, order_by: OrderBy, *, start: bool
) -> None:
    orders_filter = FILTERS[name]
    query = ListOrders(
        filter=OrdersFilter(
            requirement=ANY,
            customer_id=orders_filter.customer_id,
            states=orders_filter.states,
            product_id=orders_filter.product_id,
            order_by=order_by,
        ),
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
