"""Queries: requests in, their form checked, and what every answer says of its freshness."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Meta

from contexts.orders.view import OrderState
from contexts.orders.wire.commands import (
    CUSTOMER_ID_LENGTH_MAX,
    PRODUCT_ID_LENGTH_MAX,
)
from contexts.orders.wire.values import state_from_proto, timestamp
from eventcore.checkpoints import Checkpoint
from eventcore.fields import FieldFaults
from eventcore.freshness import (
    MAX_WAIT_SECONDS_DEFAULT,
    MAX_WAIT_SECONDS_MAX,
    Requirement,
    lag_microseconds,
)
from eventcore.messages import Instant
from eventcore.page_tokens import Int64, InvalidPageToken, PageStart, PageTokens
from orderes.v1 import consistency_pb2, query_service_pb2

ORDERS_PAGE_SIZE_DEFAULT = 50
ORDERS_PAGE_SIZE_MAX = 500
EVENTS_PAGE_SIZE_DEFAULT = 100
EVENTS_PAGE_SIZE_MAX = 1000
STORE_ID_CHARACTERS_MAX = 64
STATES_MAX = 16
"""States that one filter names. There are fewer, but a client may know newer ones."""

# google/protobuf/timestamp.proto: years 1 to 9999.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
_TIMESTAMP_NANOS = range(1_000_000_000)

_K = TypeVar("_K")


class OrderSortKey(NamedTuple):
    """Where an order stands in a list."""

    time: Int64
    order_id: Annotated[bytes, Meta(min_length=16, max_length=16)]


class EventSortKey(NamedTuple):
    """Where an event stands in the list of its order."""

    version: Int64


ORDER_PAGE_TOKENS = PageTokens(OrderSortKey)
EVENT_PAGE_TOKENS = PageTokens(EventSortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOrder:
    """An order as it is."""

    order_id: str
    requirement: Requirement


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
    query = GetOrder(
        order_id=faults.uuid("order_id", request.order_id),
        requirement=_requirement(request.consistency, faults),
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
        requirement=_requirement(request.consistency, faults),
    )
    query = ListOrders(
        filter=orders_filter,
        page_size=_page_size(
            request.page_size,
            default=ORDERS_PAGE_SIZE_DEFAULT,
            maximum=ORDERS_PAGE_SIZE_MAX,
            faults=faults,
        ),
        start=_start(ORDER_PAGE_TOKENS, request.page_token, orders_filter, faults),
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
        requirement=_requirement(request.consistency, faults),
    )
    query = ListOrderEvents(
        filter=events_filter,
        page_size=_page_size(
            request.page_size,
            default=EVENTS_PAGE_SIZE_DEFAULT,
            maximum=EVENTS_PAGE_SIZE_MAX,
            faults=faults,
        ),
        start=_start(EVENT_PAGE_TOKENS, request.page_token, events_filter, faults),
    )
    faults.raise_if_any()
    return query


def read_info(checkpoint: Checkpoint, *, now: Instant) -> consistency_pb2.ReadInfo:
    """How fresh an answer is that was read together with the checkpoint."""
    info = consistency_pb2.ReadInfo(
        position=checkpoint.position, store_id=checkpoint.store_id
    )
    info.lag.FromMicroseconds(lag_microseconds(checkpoint, now=now))
    if checkpoint.position > 0:
        info.position_time.CopyFrom(timestamp(checkpoint.position_time))
    return info


def _requirement(
    message: consistency_pb2.Consistency, faults: FieldFaults
) -> Requirement:
    min_position = message.min_position
    if message.HasField("min_position") and min_position < 1:
        faults.add(
            "consistency.min_position",
            "must be at least 1; 0 is the position of a command that is not committed: "
            "ask GetCommand",
        )
    return Requirement(
        min_position=min_position,
        max_wait_seconds=faults.duration(
            "consistency.max_wait",
            seconds=message.max_wait.seconds,
            nanos=message.max_wait.nanos,
            longest_seconds=MAX_WAIT_SECONDS_MAX,
        )
        if message.HasField("max_wait")
        else MAX_WAIT_SECONDS_DEFAULT,
        store_id=faults.text(
            "consistency.store_id",
            message.store_id,
            max_length=STORE_ID_CHARACTERS_MAX,
            required=False,
        ),
    )


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
    if (
        message.seconds not in _TIMESTAMP_SECONDS
        or message.nanos not in _TIMESTAMP_NANOS
    ):
        faults.add(field, "must be a time of the years 1 to 9999")
        return 0
    return message.seconds * 1_000_000 + -(-message.nanos // 1_000)


def _order_by(value: str, faults: FieldFaults) -> OrderBy:
    order_by = _ORDER_BY.get(" ".join(value.split()))
    if order_by is None:
        faults.add(
            "order_by",
            'must be "place_time" or "update_time", with " desc" behind it or without',
        )
        return OrderBy()
    return order_by


def _page_size(value: int, *, default: int, maximum: int, faults: FieldFaults) -> int:
    if value < 0:
        faults.add("page_size", f"is {value}, must not be negative")
    return min(value, maximum) if value > 0 else default


def _start(
    tokens: PageTokens[_K], token: str, bound_to: object, faults: FieldFaults
) -> PageStart[_K] | None:
    if not token:
        return None
    try:
        return tokens.read(token, query=bound_to)
    except InvalidPageToken as error:
        faults.add("page_token", str(error))
        return None
