"""Events of orders as messages: as they are listed, watched and published, and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from contexts.orders.events import (
    CancelReason,
    OrderCancelled,
    OrderDelivered,
    OrderEvent,
    OrderLine,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PaymentReceived,
    PaymentRefunded,
)
from contexts.orders.schemas import order_codec
from contexts.orders.wire.values import (
    instant_from_timestamp,
    money_from_proto,
    money_to_proto,
    timestamp,
)
from eventcore.messages import EventEnvelope, Instant
from orderes.events.v1 import events_pb2

_CANCEL_REASONS = {
    reason: events_pb2.CancelReason.Value(f"CANCEL_REASON_{reason.value}")
    for reason in CancelReason
}
_CANCEL_REASONS_BY_NUMBER: dict[int, CancelReason] = {
    number: reason for reason, number in _CANCEL_REASONS.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event of an order, with its place and its time."""

    event: OrderEvent
    version: int
    position: int
    record_time: Instant


def event_to_answer(envelope: EventEnvelope, event: OrderEvent) -> bytes:
    """A recorded event, serialized, ready to be part of an answer."""
    return recorded_event(envelope, event).SerializeToString(deterministic=True)


def event_from_answer(answer: bytes) -> PastEvent:
    """The event that `event_to_answer` serialized."""
    message = events_pb2.RecordedEvent.FromString(answer)
    return PastEvent(
        event=_event_from(message),
        version=message.order_version,
        position=message.position,
        record_time=instant_from_timestamp(message.record_time),
    )


def recorded_event(
    envelope: EventEnvelope, event: OrderEvent
) -> events_pb2.RecordedEvent:
    """An event with its envelope, as it is listed and published: in its newest form."""
    message = events_pb2.RecordedEvent(
        event_id=envelope.event_id,
        type=envelope.type,
        schema_version=order_codec.schema_version_of(event),
        order_id=envelope.stream.key,
        order_version=envelope.stream_version,
        position=envelope.position,
        record_time=timestamp(envelope.record_time),
        correlation_id=envelope.trace.correlation_id,
        causation_id=envelope.trace.causation_id,
        actor=envelope.trace.actor,
        traceparent=envelope.trace.traceparent,
    )
    _set_payload(message, event)
    return message


def _set_payload(message: events_pb2.RecordedEvent, event: OrderEvent) -> None:  # noqa: C901 (a union is taken apart in one place)
    """Sets the one field of the payload that the event belongs into."""
    match event:
        case OrderPlaced():
            message.order_placed.customer_id = event.customer_id
            message.order_placed.currency_code = event.currency_code
            message.order_placed.lines.extend(map(_event_line, event.lines))
        case OrderLineAdded():
            message.order_line_added.line.CopyFrom(_event_line(event.line))
        case OrderLineRemoved():
            message.order_line_removed.product_id = event.product_id
        case OrderLineQuantityChanged():
            changed = message.order_line_quantity_changed
            changed.product_id = event.product_id
            changed.old_quantity = event.old_quantity
            changed.new_quantity = event.new_quantity
        case PaymentReceived():
            received = message.payment_received
            received.payment_id = event.payment_id
            received.amount.CopyFrom(money_to_proto(event.amount))
        case OrderPaid():
            paid = message.order_paid
            paid.amount_paid.CopyFrom(money_to_proto(event.amount_paid))
        case OrderShipped():
            message.order_shipped.carrier = event.carrier
            message.order_shipped.tracking_number = event.tracking_number
        case OrderDelivered():
            message.order_delivered.SetInParent()
        case OrderCancelled():
            cancelled = message.order_cancelled
            cancelled.reason = event.reason
            cancelled.reason_code = _CANCEL_REASONS[event.reason_code]
            cancelled.refund_due.CopyFrom(money_to_proto(event.refund_due))
        case PaymentRefunded():
            refunded = message.payment_refunded
            refunded.payment_id = event.payment_id
            refunded.refund_id = event.refund_id
            refunded.amount.CopyFrom(money_to_proto(event.amount))
        case _:
            assert_never(event)


def _event_line(line: OrderLine) -> events_pb2.Line:
    return events_pb2.Line(
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=money_to_proto(line.unit_price),
    )


def _event_from(message: events_pb2.RecordedEvent) -> OrderEvent:
    """The event in the one field of the payload that is set."""
    return _READERS[message.WhichOneof("payload")](message)


def _placed(message: events_pb2.RecordedEvent) -> OrderPlaced:
    placed = message.order_placed
    return OrderPlaced(
        customer_id=placed.customer_id,
        currency_code=placed.currency_code,
        lines=tuple(_line_from(line) for line in placed.lines),
    )


def _quantity_changed(message: events_pb2.RecordedEvent) -> OrderLineQuantityChanged:
    changed = message.order_line_quantity_changed
    return OrderLineQuantityChanged(
        product_id=changed.product_id,
        old_quantity=changed.old_quantity,
        new_quantity=changed.new_quantity,
    )


def _received(message: events_pb2.RecordedEvent) -> PaymentReceived:
    received = message.payment_received
    return PaymentReceived(
        payment_id=received.payment_id, amount=money_from_proto(received.amount)
    )


def _shipped(message: events_pb2.RecordedEvent) -> OrderShipped:
    shipped = message.order_shipped
    return OrderShipped(
        carrier=shipped.carrier, tracking_number=shipped.tracking_number
    )


def _cancelled(message: events_pb2.RecordedEvent) -> OrderCancelled:
    cancelled = message.order_cancelled
    return OrderCancelled(
        reason=cancelled.reason,
        reason_code=_CANCEL_REASONS_BY_NUMBER[cancelled.reason_code],
        refund_due=money_from_proto(cancelled.refund_due),
    )


def _refunded(message: events_pb2.RecordedEvent) -> PaymentRefunded:
    refunded = message.payment_refunded
    return PaymentRefunded(
        payment_id=refunded.payment_id,
        refund_id=refunded.refund_id,
        amount=money_from_proto(refunded.amount),
    )


def _line_from(line: events_pb2.Line) -> OrderLine:
    return OrderLine(
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=money_from_proto(line.unit_price),
    )


_READERS: Mapping[str | None, Callable[[events_pb2.RecordedEvent], OrderEvent]] = {
    "order_placed": _placed,
    "order_line_added": lambda message: OrderLineAdded(
        line=_line_from(message.order_line_added.line)
    ),
    "order_line_removed": lambda message: OrderLineRemoved(
        product_id=message.order_line_removed.product_id
    ),
    "order_line_quantity_changed": _quantity_changed,
    "payment_received": _received,
    "order_paid": lambda message: OrderPaid(
        amount_paid=money_from_proto(message.order_paid.amount_paid)
    ),
    "order_shipped": _shipped,
    "order_delivered": lambda _: OrderDelivered(),
    "order_cancelled": _cancelled,
    "payment_refunded": _refunded,
}
"""What makes an event of each field of the payload."""
