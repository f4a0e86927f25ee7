"""A well-formed request of every command, as it comes over the wire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import CommandRequest
from eventcore.errors import InvalidFields
from eventcore.fields import FieldFaults
from orderes.v1 import command_service_pb2 as service
from tests.orders.examples import ORDER_ID

COMMAND_ID = "0190a6b2-7c1e-7d3f-8a4b-000000000001"

_AMOUNT = {"currency_code": "EUR", "minor_units": 1000}
_LINE = {"product_id": "apples", "quantity": 2, "unit_price": _AMOUNT}
_SHARED = {"order_id": ORDER_ID, "command_id": COMMAND_ID}


@dataclass(frozen=True, slots=True)
class Form:
    """How the request of one command is read, and one that is well-formed."""

    message: type[Any]
    read: Callable[[Any, FieldFaults], OrderCommand]
    content: Mapping[str, Any]

    def request(self, **changes: Any) -> Any:
        return self.message(**{**_SHARED, **self.content, **changes})

    def command(self, request: CommandRequest) -> OrderCommand:
        faults = FieldFaults()
        command = self.read(request, faults)
        faults.raise_if_any()
        return command


FORMS: Mapping[str, Form] = {
    "PlaceOrder": Form(
        service.PlaceOrderRequest,
        wire.place_order,
        {"customer_id": "customer-1", "lines": [_LINE]},
    ),
    "AddOrderLine": Form(
        service.AddOrderLineRequest, wire.add_order_line, {"line": _LINE}
    ),
    "RemoveOrderLine": Form(
        service.RemoveOrderLineRequest,
        wire.remove_order_line,
        {"product_id": "apples"},
    ),
    "ChangeOrderLineQuantity": Form(
        service.ChangeOrderLineQuantityRequest,
        wire.change_order_line_quantity,
        {"product_id": "apples", "quantity": 3},
    ),
    "RecordPayment": Form(
        service.RecordPaymentRequest,
        wire.record_payment,
        {"payment_id": "payment-1", "amount": _AMOUNT},
    ),
    "ShipOrder": Form(
        service.ShipOrderRequest,
        wire.ship_order,
        {"carrier": "post", "tracking_number": "T-1"},
    ),
    "DeliverOrder": Form(service.DeliverOrderRequest, wire.deliver_order, {}),
    "CancelOrder": Form(
        service.CancelOrderRequest, wire.cancel_order, {"reason": "changed my mind"}
    ),
    "RefundPayment": Form(
        service.RefundPaymentRequest,
        wire.refund_payment,
        {"payment_id": "payment-1", "refund_id": "refund-1", "amount": _AMOUNT},
    ),
}


def wrong_fields(form: Form, request: CommandRequest) -> dict[str, str]:
    """Every field that the checks of form complain about, and what they say; none twice."""
    faults = FieldFaults()
    faults.command_id("command_id", request.command_id)
    wire.expected_version(request, faults)
    wire.delivery(request.options, faults)
    form.read(request, faults)
    try:
        faults.raise_if_any()
    except InvalidFields as error:
        named = [violation.field for violation in error.violations]
        assert sorted(named) == sorted(set(named))
        return {
            violation.field: violation.description for violation in error.violations
        }
    return {}
