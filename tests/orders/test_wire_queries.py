"""Queries: what they ask for, and every field that cannot be."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.view import OrderState
from contexts.orders.wire.queries import (
    EVENT_PAGE_TOKENS,
    ORDER_PAGE_TOKENS,
    EventSortKey,
    OrderSortKey,
    get_order,
    list_order_events,
    list_orders,
)
from contexts.orders.wire.summaries import (
    SALES_PAGE_TOKENS,
    SalesSortKey,
    get_customer_summary,
    list_product_sales,
)
from contexts.orders.wire.watching import WatchFilter, watch_orders
from eventcore.errors import InvalidFields
from eventcore.fields import DURATION_SECONDS_MAX, FieldFaults
from eventcore.page_tokens import PageStart
from orderes.v1 import order_pb2
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
    ListProductSalesRequest,
    WatchOrdersRequest,
)

ORDER_ID = "01900000-0000-7000-8000-000000000001"
PLACED = order_pb2.ORDER_STATE_PLACED
PAID = order_pb2.ORDER_STATE_PAID

Read: TypeAlias = Callable[[Any, FieldFaults], Any]

READERS: Mapping[type[Message], Read] = {
    GetOrderRequest: get_order,
    ListOrdersRequest: list_orders,
    ListOrderEventsRequest: list_order_events,
    GetCustomerSummaryRequest: get_customer_summary,
    ListProductSalesRequest: list_product_sales,
    WatchOrdersRequest: watch_orders,
}
LISTS: Mapping[str, Message] = {
    "orders": ListOrdersRequest(),
    "events": ListOrderEventsRequest(order_id=ORDER_ID),
    "sales": ListProductSalesRequest(),
}


def read(request: Message) -> Any:
    """The query in a request."""
    return READERS[type(request)](request, FieldFaults())


def wrong(request: Message) -> dict[str, str]:
    """What is said of each field that is wrong."""
    with pytest.raises(InvalidFields) as caught:
        read(request)
    return {each.field: each.description for each in caught.value.violations}


def with_token(request: Any, token: str) -> Any:
    changed = type(request)()
    changed.CopyFrom(request)
    changed.page_token = token
    return changed


def fresh(**fields: Any) -> GetCustomerSummaryRequest:
    """A query with a demand."""
    return GetCustomerSummaryRequest(
        customer_id="customer-1", consistency=Consistency(**fields)
    )


# How fresh


@pytest.mark.parametrize("min_position", [0, -1, -(2**63)])
def test_a_position_that_cannot_be_is_a_fault(min_position: int) -> None:
    said = wrong(fresh(min_position=min_position))
    assert set(said) == {"consistency.min_position"}
    assert "GetCommand" in said["consistency.min_position"]


@pytest.mark.parametrize(
    "span",
    [
        Duration(seconds=-1),
        Duration(nanos=-1),
        Duration(seconds=1, nanos=-1),
        Duration(nanos=1_000_000_000),
        Duration(seconds=DURATION_SECONDS_MAX + 1),
    ],
)
def test_a_span_of_time_that_cannot_be_is_a_fault(span: Duration) -> None:
    assert set(wrong(fresh(max_wait=span, max_staleness=span))) == {
        "consistency.max_wait",
        "consistency.max_staleness",
    }


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (Duration(), 0.0),
        (Duration(nanos=500_000_000), 0.5),
        (Duration(seconds=31), 30.0),
        (None, 2.0),
    ],
)
def test_a_wait_has_a_default_and_is_cut_to_the_longest(
    span: Duration | None, seconds: float
) -> None:
    assert read(fresh(max_wait=span)).requirement.max_wait_seconds == seconds


def test_less_staleness_than_can_be_told_from_none_is_a_fault() -> None:
    said = wrong(fresh(max_staleness=Duration(seconds=1, nanos=999_999_999)))
    assert "at least 2 s" in said["consistency.max_staleness"]
    two = fresh(max_staleness=Duration(seconds=2))
    assert read(two).requirement.max_staleness_seconds == 2.0


# Pages


@pytest.mark.parametrize("token", ["x", "AAAA", "%%%", "é", "x" * 10_000, "=", " "])
@pytest.mark.parametrize("request_", LISTS.values(), ids=LISTS)
def test_a_token_that_is_none_is_a_fault(request_: Message, token: str) -> None:
    said = wrong(with_token(request_, token))
    assert set(said) == {"page_token"}
    assert "begin again" in said["page_token"]


def test_a_token_of_one_list_is_none_of_another() -> None:
    position = PageStart(after=EventSortKey(1), first_position=1)
    order = PageStart(after=OrderSortKey(1, b"x" * 16), first_position=1)
    day = PageStart(after=SalesSortKey("2026-01-01", "a", "EUR"), first_position=1)
    orders, events, sales = LISTS.values()
    of_orders = ORDER_PAGE_TOKENS.write(order, query=read(orders).filter)
    of_events = EVENT_PAGE_TOKENS.write(position, query=read(events).filter)
    of_sales = SALES_PAGE_TOKENS.write(day, query=read(sales).filter)
    for request, token in ((orders, of_orders), (events, of_events), (sales, of_sales)):
        assert read(with_token(request, token)).start is not None
        for other in {of_orders, of_events, of_sales} - {token}:
            assert set(wrong(with_token(request, other))) == {"page_token"}


CHANGES: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "customer": (ListOrdersRequest, {"customer_id": "you"}),
    "product": (ListOrdersRequest, {"product_id": "apples"}),
    "states": (ListOrdersRequest, {"states": [PLACED]}),
    "since": (ListOrdersRequest, {"placed_since": Timestamp(seconds=1)}),
    "before": (ListOrdersRequest, {"placed_before": Timestamp(seconds=1)}),
    "order": (ListOrdersRequest, {"order_by": "place_time"}),
    "demand": (ListOrdersRequest, {"consistency": Consistency(min_position=1)}),
    "product of sales": (ListProductSalesRequest, {"product_id": "apples"}),
    "first day": (ListProductSalesRequest, {"since_day": "2026-01-01"}),
    "last day": (ListProductSalesRequest, {"until_day": "2026-01-01"}),
}


@pytest.mark.parametrize(("kind", "change"), CHANGES.values(), ids=CHANGES)
def test_a_token_belongs_to_its_query(kind: Any, change: dict[str, Any]) -> None:
    tokens: Any = ORDER_PAGE_TOKENS
    after: Any = OrderSortKey(1, b"x" * 16)
    if kind is ListProductSalesRequest:
        tokens, after = SALES_PAGE_TOKENS, SalesSortKey("2026-01-01", "a", "EUR")
    start = PageStart(after=after, first_position=1)
    for before, then in ((kind(), kind(**change)), (kind(**change), kind())):
        token = tokens.write(start, query=read(before).filter)
        said = wrong(with_token(then, token))
        assert set(said) == {"page_token"}
        assert "another query" in said["page_token"]


def test_the_size_of_a_page_is_not_part_of_the_query() -> None:
    start = PageStart(after=EventSortKey(1), first_position=1)
    first = ListOrderEventsRequest(order_id=ORDER_ID, page_size=7)
    token = EVENT_PAGE_TOKENS.write(start, query=read(first).filter)
    later = ListOrderEventsRequest(order_id=ORDER_ID, page_size=9, page_token=token)
    assert read(later).start == start


# Filters


@pytest.mark.parametrize(
    "order_by", ["place_time asc", "desc", "place_time,update_time", "PLACE_TIME"]
)
def test_any_other_order_is_a_fault(order_by: str) -> None:
    assert set(wrong(ListOrdersRequest(order_by=order_by))) == {"order_by"}


@pytest.mark.parametrize(
    "moment",
    [
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=253_402_300_800),
        Timestamp(nanos=1_000_000_000),
        Timestamp(nanos=-1),
    ],
)
def test_a_time_that_cannot_be_is_a_fault(moment: Timestamp) -> None:
    bounded = ListOrdersRequest(placed_since=moment, placed_before=moment)
    assert set(wrong(bounded)) == {"placed_since", "placed_before"}
    past = GetOrderRequest(order_id=ORDER_ID, time=moment)
    assert set(wrong(past)) == {"time"}


def test_a_bound_between_two_microseconds_is_the_next_and_a_moment_the_last() -> None:
    between = Timestamp(seconds=1, nanos=1_500)
    bounded = read(ListOrdersRequest(placed_since=between, placed_before=between))
    assert bounded.filter.placed_since == bounded.filter.placed_before == 1_000_002
    past = read(GetOrderRequest(order_id=ORDER_ID, time=between))
    assert past.as_of_time == 1_000_001


def test_states_are_the_same_in_whichever_order_they_are_named() -> None:
    first, second = (
        read(ListOrdersRequest(states=states)).filter
        for states in ([PLACED, PAID, PLACED], [PAID, PLACED])
    )
    assert first == second
    assert set(first.states) == {OrderState.PLACED, OrderState.PAID}


def test_more_states_than_there_can_be_are_a_fault() -> None:
    assert set(wrong(ListOrdersRequest(states=[PLACED] * 17))) == {"states"}


@pytest.mark.parametrize("version", [0, -1, -(2**63)])
def test_a_version_before_the_first_is_a_fault(version: int) -> None:
    request = GetOrderRequest(order_id=ORDER_ID, version=version)
    assert set(wrong(request)) == {"version"}


@pytest.mark.parametrize(
    "day",
    ["2026-02-30", "yesterday", "2026-1-1", "2026-01-01T00:00:00Z", "\uff12026-01-01"],
)
def test_a_day_that_is_none_is_a_fault(day: str) -> None:
    said = wrong(ListProductSalesRequest(since_day=day, until_day=day))
    assert set(said) == {"since_day", "until_day"}


# Watching


def test_what_is_watched_by_default_is_everything_that_is_new() -> None:
    query = read(WatchOrdersRequest())
    assert query.after_position is None
    assert query.mark_seconds == 10.0
    assert query.filter == WatchFilter()
    assert read(WatchOrdersRequest(after_position=0)).after_position == 0


@pytest.mark.parametrize(
    "interval", [Duration(), Duration(nanos=999_999_999), Duration(seconds=61)]
)
def test_marks_come_neither_all_the_time_nor_never(interval: Duration) -> None:
    said = wrong(WatchOrdersRequest(checkpoint_interval=interval))
    assert "1 s to 60 s" in said["checkpoint_interval"]


def test_more_is_named_than_can_be_watched() -> None:
    request = WatchOrdersRequest(
        order_ids=[ORDER_ID] * 101, event_types=["OrderPlaced"] * 51
    )
    assert set(wrong(request)) == {"order_ids", "event_types"}


def test_a_type_of_event_that_there_is_not_is_told_with_those_that_there_are() -> None:
    said = wrong(WatchOrdersRequest(event_types=["OrderPlaced", "OrderEaten"]))
    assert set(said) == {"event_types[1]"}
    assert "OrderCancelled" in said["event_types[1]"]
