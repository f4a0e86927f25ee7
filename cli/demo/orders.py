"""Requests of the demo, and what it reads out of the answers."""

import uuid_utils

from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_pb2 import Command, CommandOptions, WaitFor
from orderes.v1.command_service_pb2 import PlaceOrderRequest
from orderes.v1.order_pb2 import OrderLine

COMMITTED = CommandOptions(wait_for=WaitFor.WAIT_FOR_COMMITTED)
CURRENCY_CODE = "EUR"


def new_id() -> str:
    """A UUIDv7."""
    return str(uuid_utils.uuid7())


def euro(cents: int) -> Money:
    """An amount in euro."""
    return Money(currency_code=CURRENCY_CODE, minor_units=cents)


def place_order(customer_id: str) -> PlaceOrderRequest:
    """A command that places a small order under ids of its own."""
    return PlaceOrderRequest(
        command_id=new_id(),
        options=COMMITTED,
        customer_id=customer_id,
        lines=[OrderLine(product_id="book", quantity=2, unit_price=euro(1999))],
    )


def outcome(command: Command) -> Command:
    """The receipt without the flag that tells a repeat: all else must be the same."""
    made = Command()
    made.CopyFrom(command)
    made.ClearField("deduplicated")
    return made
