"""Watching orders: what is asked for, and the messages of the stream."""

from collections.abc import Sequence
from dataclasses import dataclass

from contexts.orders.schemas import order_codec
from contexts.orders.wire.commands import CUSTOMER_ID_LENGTH_MAX
from contexts.orders.wire.freshness import store_id
from eventcore.fields import FieldFaults
from orderes.v1 import query_service_pb2

ORDER_IDS_MAX = 100
EVENT_TYPES_MAX = 50
MARK_SECONDS_DEFAULT = 10.0
MARK_SECONDS_MIN = 1.0
MARK_SECONDS_MAX = 60.0

_EVENT_TAG = bytes(
    [
        query_service_pb2.WatchOrdersResponse.DESCRIPTOR.fields_by_name["event"].number
        << 3
        | 2
    ]
)
"""How a message that holds an event begins: the field, and that its length follows
(https://protobuf.dev/programming-guides/encoding/#structure)."""

_BITS_PER_BYTE = 7
_MORE = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFilter:
    """Which events are sent; all if it names nothing. What it names must all match."""

    order_ids: frozenset[str] = frozenset()
    customer_id: str = ""
    event_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOrders:
    """Events from a position on."""

    filter: WatchFilter
    after_position: int | None = None
    """None is the end of what there is."""
    mark_seconds: float = MARK_SECONDS_DEFAULT
    store_id: str = ""


def watch_orders(
    request: query_service_pb2.WatchOrdersRequest, faults: FieldFaults
) -> WatchOrders:
    """The query in a request.

    Raises:
        InvalidFields: naming every field that is wrong.
    """
    query = WatchOrders(
        filter=WatchFilter(
            order_ids=_order_ids(request.order_ids, faults),
            customer_id=faults.text(
                "customer_id",
                request.customer_id,
                max_length=CUSTOMER_ID_LENGTH_MAX,
                required=False,
            ),
            event_types=_event_types(request.event_types, faults),
        ),
        after_position=faults.integer(
            "after_position", request.after_position, minimum=0
        )
        if request.HasField("after_position")
        else None,
        mark_seconds=faults.duration_between(
            "checkpoint_interval",
            seconds=request.checkpoint_interval.seconds,
            nanos=request.checkpoint_interval.nanos,
            shortest_seconds=MARK_SECONDS_MIN,
            longest_seconds=MARK_SECONDS_MAX,
        )
        if request.HasField("checkpoint_interval")
        else MARK_SECONDS_DEFAULT,
        store_id=store_id("store_id", request.store_id, faults),
    )
    faults.raise_if_any()
    return query


def watched_event(answer: bytes) -> bytes:
    """The message that holds an event which is serialized already.

    Parsing an event only to serialize it again is most of what sending it costs.
    """
    return _EVENT_TAG + _varint(len(answer)) + answer


def watch_mark(position: int, *, caught_up: bool, store_id: str) -> bytes:
    """The message that tells how far the stream is."""
    return query_service_pb2.WatchOrdersResponse(
        mark=query_service_pb2.WatchMark(
            position=position, caught_up=caught_up, store_id=store_id
        )
    ).SerializeToString()


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= _MORE:
        parts.append(number & (_MORE - 1) | _MORE)
        number >>= _BITS_PER_BYTE
    parts.append(number)
    return bytes(parts)


def _order_ids(values: Sequence[str], faults: FieldFaults) -> frozenset[str]:
    if len(values) > ORDER_IDS_MAX:
        faults.add("order_ids", f"has {len(values)} ids, at most {ORDER_IDS_MAX}")
        return frozenset()
    return frozenset(
        faults.uuid(f"order_ids[{index}]", value) for index, value in enumerate(values)
    )


def _event_types(values: Sequence[str], faults: FieldFaults) -> frozenset[str]:
    if len(values) > EVENT_TYPES_MAX:
        faults.add("event_types", f"has {len(values)} types, at most {EVENT_TYPES_MAX}")
        return frozenset()
    known = {event_type for event_type, _ in order_codec.versions}
    for index, value in enumerate(values):
        if value not in known:
            faults.add(
                f"event_types[{index}]",
                f"is no type of event: there are {', '.join(sorted(known))}",
            )
    return frozenset(values)
