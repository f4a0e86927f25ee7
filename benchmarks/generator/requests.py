"""The requests that are sent: ordinary ones, none like another."""

from typing import Any

from uuid_utils import uuid7

from orderes.type.v1.money_pb2 import Money
from orderes.v1 import command_service_pb2 as pb2
from orderes.v1.command_pb2 import LANE_BULK, CommandOptions
from orderes.v1.order_pb2 import OrderLine

BATCH_COMMANDS = 100
"""The most that SubmitCommands takes."""

PRICE = Money(currency_code="EUR", minor_units=1000)
LINES = [
    OrderLine(product_id=product_id, quantity=1, unit_price=PRICE)
    for product_id in ("apples", "pears", "plums")
]
BULK = CommandOptions(lane=LANE_BULK)


def new_id() -> str:
    """An id that no other call has."""
    return str(uuid7())


def place_order(order_id: str = "", *, options: CommandOptions | None = None) -> Any:
    """An order with three lines."""
    return pb2.PlaceOrderRequest(
        order_id=order_id or new_id(),
        command_id=new_id(),
        customer_id="customer-1",
        lines=LINES,
        options=options,
    )


def record_payment(order_id: str) -> Any:
    """A part of what is due, so that it can come more than once."""
    return pb2.RecordPaymentRequest(
        order_id=order_id, command_id=new_id(), payment_id=new_id(), amount=PRICE
    )


def batch(*, options: CommandOptions | None = None) -> Any:
    """As many new orders as a batch may have."""
    placed = [
        pb2.CommandEnvelope(place_order=place_order()) for _ in range(BATCH_COMMANDS)
    ]
    return pb2.SubmitCommandsRequest(commands=placed, options=options)


def life() -> list[tuple[str, Any]]:
    """The first commands of an order, each with its RPC: of two lanes, and in this order only."""
    order_id = new_id()
    added = OrderLine(product_id="cherries", quantity=1, unit_price=PRICE)
    return [
        ("PlaceOrder", place_order(order_id)),
        (
            "AddOrderLine",
            pb2.AddOrderLineRequest(order_id=order_id, command_id=new_id(), line=added),
        ),
        (
            "ChangeOrderLineQuantity",
            pb2.ChangeOrderLineQuantityRequest(
                order_id=order_id,
                command_id=new_id(),
                product_id="cherries",
                quantity=2,
            ),
        ),
        ("RecordPayment", record_payment(order_id)),
    ]
