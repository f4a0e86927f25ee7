"""Money, times, orders and recorded events, as messages and as dataclasses."""

from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.events import (
    CancelReason,
    Money,
    OrderLine,
)
from contexts.orders.view import (
    OrderState,
    OrderView,
    PaymentState,
    PaymentView,
    ShipmentView,
)
from eventcore.messages import Instant
from orderes.type.v1 import money_pb2
from orderes.v1 import order_pb2

_MICROS_IN_SECOND = 1_000_000
_NANOS_IN_MICRO = 1_000

_STATES = {
    state: order_pb2.OrderState.Value(f"ORDER_STATE_{state.value}")
    for state in OrderState
}
_STATES_BY_NUMBER: dict[int, OrderState] = {
    number: state for state, number in _STATES.items()
}

_PAYMENT_STATES = {
    state: order_pb2.PaymentState.Value(f"PAYMENT_STATE_{state.value}")
    for state in PaymentState
}

_CANCEL_REASONS = {
    reason: order_pb2.CancelReason.Value(f"CANCEL_REASON_{reason.value}")
    for reason in CancelReason
}
_CANCEL_REASONS_BY_NUMBER: dict[int, CancelReason] = {
    number: reason for reason, number in _CANCEL_REASONS.items()
}


def timestamp(instant: Instant) -> Timestamp:
    """An instant as a message, exactly."""
    seconds, micros = divmod(instant, _MICROS_IN_SECOND)
    return Timestamp(seconds=seconds, nanos=micros * _NANOS_IN_MICRO)


def instant_from_timestamp(message: Timestamp) -> Instant:
    """The instant of a well-formed timestamp; what is finer than a microsecond is cut off."""
    return message.seconds * _MICROS_IN_SECOND + message.nanos // _NANOS_IN_MICRO


def money_to_proto(money: Money) -> money_pb2.Money:
    """An amount as a message."""
    return money_pb2.Money(
        currency_code=money.currency_code, minor_units=money.minor_units
    )


def money_from_proto(message: money_pb2.Money) -> Money:
    """The amount that a message of ours holds."""
    return Money(currency_code=message.currency_code, minor_units=message.minor_units)


def state_to_proto(state: OrderState) -> order_pb2.OrderState.ValueType:
    """The number of a state."""
    return _STATES[state]


def state_from_proto(number: int) -> OrderState | None:
    """The state of a number; None for UNSPECIFIED and for numbers that are not of the contract."""
    return _STATES_BY_NUMBER.get(number)


def cancel_reason_from_proto(number: int) -> CancelReason | None:
    """The code of a number; None for UNSPECIFIED and for numbers that are not of the contract."""
    return _CANCEL_REASONS_BY_NUMBER.get(number)


def order_to_proto(view: OrderView) -> order_pb2.Order:
    """An order as clients see it."""
    message = order_pb2.Order(
        order_id=view.order_id,
        customer_id=view.customer_id,
        state=_STATES[view.state],
        payment_state=_PAYMENT_STATES[view.payment_state],
        currency_code=view.currency_code,
        lines=[
            order_pb2.OrderLine(
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=money_to_proto(line.unit_price),
            )
            for line in view.lines
        ],
        total=money_to_proto(view.total),
        amount_paid=money_to_proto(view.amount_paid),
        amount_refunded=money_to_proto(view.amount_refunded),
        payments=[_payment_to_proto(payment) for payment in view.payments],
        cancel_reason=view.cancel_reason,
        cancel_reason_code=order_pb2.CANCEL_REASON_UNSPECIFIED
        if view.cancel_reason_code is None
        else _CANCEL_REASONS[view.cancel_reason_code],
        version=view.version,
        position=view.position,
        place_time=timestamp(view.place_time),
        update_time=timestamp(view.update_time),
    )
    if view.shipment is not None:
        message.shipment.CopyFrom(_shipment_to_proto(view.shipment))
    return message


def _payment_to_proto(payment: PaymentView) -> order_pb2.Payment:
    return order_pb2.Payment(
        payment_id=payment.payment_id,
        amount=money_to_proto(payment.amount),
        refunded=money_to_proto(payment.refunded),
        record_time=timestamp(payment.record_time),
    )


def _shipment_to_proto(shipment: ShipmentView) -> order_pb2.Shipment:
    return order_pb2.Shipment(
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        ship_time=timestamp(shipment.ship_time),
        deliver_time=None
        if shipment.deliver_time is None
        else timestamp(shipment.deliver_time),
    )


def order_from_proto(message: order_pb2.Order) -> OrderView:
    """The order in a message that `order_to_proto` made. Its payment state is derived again.

    Raises:
        KeyError: its state is not one that this code knows.
    """
    return OrderView(
        order_id=message.order_id,
        customer_id=message.customer_id,
        state=_STATES_BY_NUMBER[message.state],
        currency_code=message.currency_code,
        lines=tuple(line_from_proto(line) for line in message.lines),
        total=money_from_proto(message.total),
        amount_paid=money_from_proto(message.amount_paid),
        amount_refunded=money_from_proto(message.amount_refunded),
        payments=tuple(
            PaymentView(
                payment_id=payment.payment_id,
                amount=money_from_proto(payment.amount),
                refunded=money_from_proto(payment.refunded),
                record_time=instant_from_timestamp(payment.record_time),
            )
            for payment in message.payments
        ),
        shipment=_shipment_from_proto(message.shipment)
        if message.HasField("shipment")
        else None,
        cancel_reason=message.cancel_reason,
        cancel_reason_code=cancel_reason_from_proto(message.cancel_reason_code),
        version=message.version,
        position=message.position,
        place_time=instant_from_timestamp(message.place_time),
        update_time=instant_from_timestamp(message.update_time),
    )


def line_from_proto(message: order_pb2.OrderLine) -> OrderLine:
    """The line that a message of ours holds."""
    return OrderLine(
        product_id=message.product_id,
        quantity=message.quantity,
        unit_price=money_from_proto(message.unit_price),
    )


def _shipment_from_proto(message: order_pb2.Shipment) -> ShipmentView:
    return ShipmentView(
        carrier=message.carrier,
        tracking_number=message.tracking_number,
        ship_time=instant_from_timestamp(message.ship_time),
        deliver_time=instant_from_timestamp(message.deliver_time)
        if message.HasField("deliver_time")
        else None,
    )
