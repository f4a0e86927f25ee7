"""Requests of the CommandService as commands of the domain, with every check of form.

A function per request reads what is its own, the order and the content; `order_command` finds the
one of any request. `expected_version` and `delivery` read what all requests share; the command_id
is left to `FieldFaults.command_id`. None of them raises: each adds what is wrong to the faults, so
that one answer names every wrong field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from contexts.orders.domain.commands import (
    AddOrderLine,
    CancelOrder,
    ChangeOrderLineQuantity,
    DeliverOrder,
    OrderCommand,
    PlaceOrder,
    RecordPayment,
    RefundPayment,
    RemoveOrderLine,
    ShipOrder,
)
from contexts.orders.domain.order import LINES_MAX
from contexts.orders.events import CancelReason, Money, OrderLine
from contexts.orders.wire.values import cancel_reason_from_proto
from eventcore.command_gateway import WaitFor
from eventcore.fields import FieldFaults
from eventcore.messages import Lane
from orderes.type.v1 import money_pb2
from orderes.v1 import command_pb2, command_service_pb2, order_pb2

CUSTOMER_ID_LENGTH_MAX = 128
PRODUCT_ID_LENGTH_MAX = 128
PAYMENT_ID_LENGTH_MAX = 128
REFUND_ID_LENGTH_MAX = 128
CARRIER_LENGTH_MAX = 64
TRACKING_NUMBER_LENGTH_MAX = 128
CANCEL_REASON_LENGTH_MAX = 500
QUANTITY_MAX = 10_000

MAX_WAIT_SECONDS_DEFAULT = 10.0
"""Long enough for a full queue to be worked off, and short enough for a person."""

MAX_WAIT_SECONDS_MAX = 30.0
"""A call that waits holds memory; what takes longer is asked for again, or by GetCommand."""

_CURRENCY_CODE = re.compile(r"[A-Z]{3}")

CommandRequest: TypeAlias = (
    command_service_pb2.PlaceOrderRequest
    | command_service_pb2.AddOrderLineRequest
    | command_service_pb2.RemoveOrderLineRequest
    | command_service_pb2.ChangeOrderLineQuantityRequest
    | command_service_pb2.RecordPaymentRequest
    | command_service_pb2.ShipOrderRequest
    | command_service_pb2.DeliverOrderRequest
    | command_service_pb2.CancelOrderRequest
    | command_service_pb2.RefundPaymentRequest
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a command is delivered. Never part of its content."""

    lane: Lane | None
    """None is the lane of the command's type, see `default_lane`."""
    max_wait_seconds: float
    wait_for: WaitFor
    validate_only: bool


_LANES: Mapping[int, Lane | None] = {
    command_pb2.LANE_UNSPECIFIED: None,
    command_pb2.LANE_CRITICAL: Lane.CRITICAL,
    command_pb2.LANE_NORMAL: Lane.NORMAL,
    command_pb2.LANE_BULK: Lane.BULK,
}

_WAITS: Mapping[int, WaitFor] = {
    command_pb2.WAIT_FOR_UNSPECIFIED: WaitFor.ACCEPTED,
    command_pb2.WAIT_FOR_ACCEPTED: WaitFor.ACCEPTED,
    command_pb2.WAIT_FOR_COMMITTED: WaitFor.COMMITTED,
}


def default_lane(command: OrderCommand) -> Lane:
    """The lane of a command that asks for none: money and cancellations go first."""
    match command:
        case RecordPayment() | RefundPayment() | CancelOrder():
            return Lane.CRITICAL
        case (
            PlaceOrder()
            | AddOrderLine()
            | RemoveOrderLine()
            | ChangeOrderLineQuantity()
            | ShipOrder()
            | DeliverOrder()
        ):
            return Lane.NORMAL
        case _:
            assert_never(command)


def delivery(options: command_pb2.CommandOptions, faults: FieldFaults) -> Delivery:
    """How the caller wants the command delivered; the defaults where it does not say."""
    if options.wait_for not in _WAITS:
        faults.add("options.wait_for", f"is {options.wait_for}, which is no WaitFor")
    if options.lane not in _LANES:
        faults.add("options.lane", f"is {options.lane}, which is no Lane")
    return Delivery(
        lane=_LANES.get(options.lane),
        max_wait_seconds=max_wait_seconds("options.max_wait", options, faults),
        wait_for=_WAITS.get(options.wait_for, WaitFor.ACCEPTED),
        validate_only=options.validate_only,
    )


def max_wait_seconds(
    field: str,
    message: command_pb2.CommandOptions | command_service_pb2.WaitCommandRequest,
    faults: FieldFaults,
) -> float:
    """How long a call waits at most; the default where the message does not say."""
    if not message.HasField("max_wait"):
        return MAX_WAIT_SECONDS_DEFAULT
    return faults.duration(
        field,
        seconds=message.max_wait.seconds,
        nanos=message.max_wait.nanos,
        longest_seconds=MAX_WAIT_SECONDS_MAX,
    )


def order_command(request: CommandRequest, faults: FieldFaults) -> OrderCommand:  # noqa: PLR0911 (a union is taken apart in one place)
    """The command that a request asks for."""
    match request:
        case command_service_pb2.PlaceOrderRequest():
            return place_order(request, faults)
        case command_service_pb2.AddOrderLineRequest():
            return add_order_line(request, faults)
        case command_service_pb2.RemoveOrderLineRequest():
            return remove_order_line(request, faults)
        case command_service_pb2.ChangeOrderLineQuantityRequest():
            return change_order_line_quantity(request, faults)
        case command_service_pb2.RecordPaymentRequest():
            return record_payment(request, faults)
        case command_service_pb2.ShipOrderRequest():
            return ship_order(request, faults)
        case command_service_pb2.DeliverOrderRequest():
            return deliver_order(request, faults)
        case command_service_pb2.CancelOrderRequest():
            return cancel_order(request, faults)
        case command_service_pb2.RefundPaymentRequest():
            return refund_payment(request, faults)
        case _:
            assert_never(request)


def expected_version(request: CommandRequest, faults: FieldFaults) -> int | None:
    """The version that the order must have; None is any.

    PlaceOrder expects that there is no order, whether it says so (0) or not: None.
    """
    if not request.HasField("expected_version"):
        return None
    if isinstance(request, command_service_pb2.PlaceOrderRequest):
        if request.expected_version:
            faults.add("expected_version", "must be 0 or absent: the order is new")
        return None
    return faults.integer("expected_version", request.expected_version, minimum=0)


def place_order(
    request: command_service_pb2.PlaceOrderRequest, faults: FieldFaults
) -> PlaceOrder:
    """The command; its order_id is empty where the server is to make one."""
    return PlaceOrder(
        order_id=faults.uuid("order_id", request.order_id, required=False),
        customer_id=faults.text(
            "customer_id", request.customer_id, max_length=CUSTOMER_ID_LENGTH_MAX
        ),
        lines=_lines(request, faults),
    )


def add_order_line(
    request: command_service_pb2.AddOrderLineRequest, faults: FieldFaults
) -> AddOrderLine:
    """The command."""
    if not request.HasField("line"):
        faults.add("line", "required: the line to add")
        line = _NO_LINE
    else:
        line = _line("line", request.line, faults)
    return AddOrderLine(order_id=faults.uuid("order_id", request.order_id), line=line)


def remove_order_line(
    request: command_service_pb2.RemoveOrderLineRequest, faults: FieldFaults
) -> RemoveOrderLine:
    """The command."""
    return RemoveOrderLine(
        order_id=faults.uuid("order_id", request.order_id),
        product_id=_product_id("product_id", request.product_id, faults),
    )


def change_order_line_quantity(
    request: command_service_pb2.ChangeOrderLineQuantityRequest, faults: FieldFaults
) -> ChangeOrderLineQuantity:
    """The command."""
    return ChangeOrderLineQuantity(
        order_id=faults.uuid("order_id", request.order_id),
        product_id=_product_id("product_id", request.product_id, faults),
        quantity=_quantity("quantity", request.quantity, faults),
    )


def record_payment(
    request: command_service_pb2.RecordPaymentRequest, faults: FieldFaults
) -> RecordPayment:
    """The command."""
    return RecordPayment(
        order_id=faults.uuid("order_id", request.order_id),
        payment_id=faults.text(
            "payment_id", request.payment_id, max_length=PAYMENT_ID_LENGTH_MAX
        ),
        amount=_amount(request, faults),
    )


def ship_order(
    request: command_service_pb2.ShipOrderRequest, faults: FieldFaults
) -> ShipOrder:
    """The command."""
    return ShipOrder(
        order_id=faults.uuid("order_id", request.order_id),
        carrier=faults.text("carrier", request.carrier, max_length=CARRIER_LENGTH_MAX),
        tracking_number=faults.text(
            "tracking_number",
            request.tracking_number,
            max_length=TRACKING_NUMBER_LENGTH_MAX,
        ),
    )


def deliver_order(
    request: command_service_pb2.DeliverOrderRequest, faults: FieldFaults
) -> DeliverOrder:
    """The command."""
    return DeliverOrder(order_id=faults.uuid("order_id", request.order_id))


def cancel_order(
    request: command_service_pb2.CancelOrderRequest, faults: FieldFaults
) -> CancelOrder:
    """The command."""
    return CancelOrder(
        order_id=faults.uuid("order_id", request.order_id),
        reason=faults.text(
            "reason", request.reason, max_length=CANCEL_REASON_LENGTH_MAX
        ),
        reason_code=_cancel_reason("reason_code", request.reason_code, faults),
    )


def refund_payment(
    request: command_service_pb2.RefundPaymentRequest, faults: FieldFaults
) -> RefundPayment:
    """The command."""
    return RefundPayment(
        order_id=faults.uuid("order_id", request.order_id),
        payment_id=faults.text(
            "payment_id", request.payment_id, max_length=PAYMENT_ID_LENGTH_MAX
        ),
        refund_id=faults.text(
            "refund_id", request.refund_id, max_length=REFUND_ID_LENGTH_MAX
        ),
        amount=_amount(request, faults),
    )


_NO_MONEY = Money(currency_code="", minor_units=1)
_NO_LINE = OrderLine(product_id="", quantity=1, unit_price=_NO_MONEY)


def _cancel_reason(field: str, number: int, faults: FieldFaults) -> CancelReason:
    if number == order_pb2.CANCEL_REASON_UNSPECIFIED:
        return CancelReason.OTHER
    reason = cancel_reason_from_proto(number)
    if reason is None:
        faults.add(field, f"is {number}, which is no CancelReason")
        return CancelReason.OTHER
    return reason


def _product_id(field: str, value: str, faults: FieldFaults) -> str:
    return faults.text(field, value, max_length=PRODUCT_ID_LENGTH_MAX)


def _quantity(field: str, value: int, faults: FieldFaults) -> int:
    return faults.integer(field, value, minimum=1, maximum=QUANTITY_MAX)


def _money(field: str, message: money_pb2.Money, faults: FieldFaults) -> Money:
    return Money(
        currency_code=faults.matching(
            f"{field}.currency_code",
            message.currency_code,
            _CURRENCY_CODE,
            wanted="an ISO 4217 code, three capital letters",
        ),
        minor_units=faults.integer(
            f"{field}.minor_units", message.minor_units, minimum=1
        ),
    )


def _amount(
    request: (
        command_service_pb2.RecordPaymentRequest
        | command_service_pb2.RefundPaymentRequest
    ),
    faults: FieldFaults,
) -> Money:
    if request.HasField("amount"):
        return _money("amount", request.amount, faults)
    faults.add("amount", "required: an amount of at least 1 minor unit")
    return _NO_MONEY


def _line(field: str, message: order_pb2.OrderLine, faults: FieldFaults) -> OrderLine:
    product_id = _product_id(f"{field}.product_id", message.product_id, faults)
    quantity = _quantity(f"{field}.quantity", message.quantity, faults)
    if message.HasField("unit_price"):
        unit_price = _money(f"{field}.unit_price", message.unit_price, faults)
    else:
        faults.add(
            f"{field}.unit_price", "required: the price of one, at least 1 minor unit"
        )
        unit_price = _NO_MONEY
    return OrderLine(product_id=product_id, quantity=quantity, unit_price=unit_price)


def _lines(
    request: command_service_pb2.PlaceOrderRequest, faults: FieldFaults
) -> tuple[OrderLine, ...]:
    """The lines; of too many only as many are looked at as are allowed."""
    count = len(request.lines)
    if not 1 <= count <= LINES_MAX:
        faults.add(
            "lines",
            f"has {count} lines, at most {LINES_MAX} are allowed"
            if count
            else f"required: 1 to {LINES_MAX} lines",
        )
    lines = tuple(
        _line(f"lines[{index}]", line, faults)
        for index, line in enumerate(request.lines[:LINES_MAX])
    )
    _check_products(lines, faults)
    _check_currencies(lines, faults)
    return lines


def _check_products(lines: tuple[OrderLine, ...], faults: FieldFaults) -> None:
    """Names every line whose product an earlier line has; a product that is wrong has none."""
    first_places: dict[str, int] = {}
    for index, line in enumerate(lines):
        first_place = first_places.setdefault(line.product_id, index)
        if first_place != index and line.product_id:
            faults.add(
                f"lines[{index}].product_id",
                f"is the product of lines[{first_place}]: each product has one line",
            )


def _check_currencies(lines: tuple[OrderLine, ...], faults: FieldFaults) -> None:
    """Names every line in another currency than the first; one that is wrong counts for none."""
    currency_code = ""
    for index, line in enumerate(lines):
        given = line.unit_price.currency_code
        currency_code = currency_code or given
        if given and given != currency_code:
            faults.add(
                f"lines[{index}].unit_price.currency_code",
                f"is {given}, but a line before it has {currency_code}: an order has "
                "one currency",
            )
