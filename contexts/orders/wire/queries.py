"""Queries for orders and their events: requests in, their form checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Meta

from contexts.orders.view import OrderState
from contexts.orders.wire.commands import (
    CUSTOMER_ID_LENGTH_MAX,
    PRODUCT_ID_LENGTH_MAX,
)
from contexts.orders.wire.freshness import requirement
from contexts.orders.wire.pages import read_page_size, read_start
from contexts.orders.wire.values import state_from_proto
from eventcore.fields import FieldFaults
from eventcore.freshness import Requirement
from eventcore.messages import Instant
from eventcore.page_tokens import Int64, PageStart, PageTokens
from orderes.v1 import query_service_pb2

ORDERS_PAGE_SIZE_DEFAULT = 50
ORDERS_PAGE_SIZE_MAX = 500
EVENTS_PAGE_SIZE_DEFAULT = 100
EVENTS_PAGE_SIZE_MAX = 1000
STATES_MAX = 16
"""States that one filter names. There are fewer, but a client may know newer ones."""

# google/protobuf/timestamp.proto: years 1 to 9999.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_TIMESTAMP_NANOS = range(1_000_000_000)


class OrderSortKey(NamedTuple):
    """Where an order stands in a list."""

    time: Int64
    order_id: Annotated[bytes, Meta(min_length=16, max_length=16)]


class EventSortKey(NamedTuple):
    """Where an event stands in the list of its order."""

    position: Int64


ORDER_PAGE_TOKENS = PageTokens(OrderSortKey)
EVENT_PAGE_TOKENS = PageTokens(EventSortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOrder:
    """An order as it is, or as it was."""

    order_id: str
    requirement: Requirement
    as_of_version: int | None = None
    """After so many of its events; None unless it is asked for. At most one of the two is."""
    as_of_time: Instant | None = None
    """After what had happened by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBy:
    """How a list of orders is sorted."""

    column: str = "place_time"
    descending: bool = True


_ORDER_BY = {
    "": OrderBy(),
    "place_time": OrderBy(descending=False),
    "place_time desc": OrderBy(),
    "update_time": OrderBy(column="update_time", descending=False),
    "update_time desc": OrderBy(column="update_time"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersFilter:
    """Which orders are listed, and how. Page tokens are bound to it."""

    customer_id: str = ""
    """Empty is any, here and below."""
    states: tuple[OrderState, ...] = ()
    product_id: str = ""
    placed_since: Instant | None = None
    placed_before: Instant | None = None
    order_by: OrderBy = OrderBy()
    requirement: Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOrders:
    """A page of orders."""

    filter: OrdersFilter
    page_size: int
    start: PageStart[OrderSortKey] | None = None
    """None is the first page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsFilter:
    """Which events are listed. Page tokens are bound to it."""

    order_id: str
    requirement: Requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOrderEvents:
    """A page of an order's events."""

    filter: EventsFilter
    page_size: int
    start: PageStart[EventSortKey] | None = None
    """None is the first page."""


def get_order(
    request: query_service_pb2.GetOrderRequest, faults: FieldFaults
) -> GetOrder:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    as_of = request.WhichOneof("as_of")
    query = GetOrder(
        order_id=faults.uuid("order_id", request.order_id),
        requirement=requirement(request.consistency, faults),
        as_of_version=faults.integer("version", request.version, minimum=1)
        if as_of == "version"
        else None,
        as_of_time=_instant_before("time", request.time, faults)
        if as_of == "time"
        else None,
    )
    faults.raise_if_any()
    return query


def list_orders(
    request: query_service_pb2.ListOrdersRequest, faults: FieldFaults
) -> ListOrders:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    orders_filter = OrdersFilter(
        customer_id=faults.text(
            "customer_id",
            request.customer_id,
            max_length=CUSTOMER_ID_LENGTH_MAX,
            required=False,
        ),
        states=_states(request.states, faults),
        product_id=faults.text(
            "product_id",
            request.product_id,
            max_length=PRODUCT_ID_LENGTH_MAX,
            required=False,
        ),
        placed_since=_instant("placed_since", request.placed_since, faults)
        if request.HasField("placed_since")
        else None,
        placed_before=_instant("placed_before", request.placed_before, faults)
        if request.HasField("placed_before")
        else None,
        order_by=_order_by(request.order_by, faults),
        requirement=requirement(request.consistency, faults),
    )
    query = ListOrders(
        filter=orders_filter,
        page_size=read_page_size(
            request.page_size,
            default=ORDERS_PAGE_SIZE_DEFAULT,
            maximum=ORDERS_PAGE_SIZE_MAX,
            faults=faults,
        ),
        start=read_start(ORDER_PAGE_TOKENS, request.page_token, orders_filter, faults),
    )
    faults.raise_if_any()
    return query


def list_order_events(
    request: query_service_pb2.ListOrderEventsRequest, faults: FieldFaults
) -> ListOrderEvents:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    events_filter = EventsFilter(
        order_id=faults.uuid("order_id", request.order_id),
        requirement=requirement(request.consistency, faults),
    )
    query = ListOrderEvents(
        filter=events_filter,
        page_size=read_page_size(
            request.page_size,
            default=EVENTS_PAGE_SIZE_DEFAULT,
            maximum=EVENTS_PAGE_SIZE_MAX,
            faults=faults,
        ),
        start=read_start(EVENT_PAGE_TOKENS, request.page_token, events_filter, faults),
    )
    faults.raise_if_any()
    return query


def _states(numbers: Sequence[int], faults: FieldFaults) -> tuple[OrderState, ...]:
    if len(numbers) > STATES_MAX:
        faults.add("states", f"names {len(numbers)} states, at most {STATES_MAX}")
        return ()
    states = set()
    for index, number in enumerate(numbers):
        state = state_from_proto(number)
        if state is None:
            faults.add(f"states[{index}]", f"{number} is not a state of an order")
        else:
            states.add(state)
    # In one order, so that a token does not depend on how its query was written.
    return tuple(sorted(states, key=lambda state: state.value))


def _instant(field: str, message: Timestamp, faults: FieldFaults) -> Instant:
    """The first whole microsecond that is not before the time: bounds include what is at them, and
    times of orders are whole microseconds.
    """
    if not _is_time(field, message, faults):
        return 0
    return message.seconds * 1_000_000 + -(-message.nanos // 1_000)


def _instant_before(field: str, message: Timestamp, faults: FieldFaults) -> Instant:
    """The last whole microsecond that is not after the time: what had happened by then."""
    if not _is_time(field, message, faults):
        return 0
    return message.seconds * 1_000_000 + message.nanos // 1_000


def _is_time(field: str, message: Timestamp, faults: FieldFaults) -> bool:
    if message.seconds in _TIMESTAMP_SECONDS and message.nanos in _TIMESTAMP_NANOS:
        return True
    faults.add(field, "must be a time of the years 1 to 9999")
    return False


def _order_by(value: str, faults: FieldFaults) -> OrderBy:
    order_by = _ORDER_BY.get(" ".join(value.split()))
    if order_by is None:
        faults.add(
            "order_by",
            'must be "place_time" or "update_time", with " desc" behind it or without',
        )
        return OrderBy()
    return order_by
