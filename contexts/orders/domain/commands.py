"""What clients ask of an order. Well-formed when it gets here: `wire` has checked the form."""

from dataclasses import dataclass
from typing import TypeAlias

from contexts.orders.events import CancelReason, Money, OrderLine


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Place an order."""

    order_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOrderLine:
    """Add a product that the order does not have yet."""

    order_id: str
    line: OrderLine


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOrderLine:
    """Remove a product, though never the last one."""

    order_id: str
    product_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOrderLineQuantity:
    """Set the quantity of a product."""

    order_id: str
    product_id: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPayment:
    """Record money that came in."""

    order_id: str
    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipOrder:
    """Hand the order to a carrier."""

    order_id: str
    carrier: str
    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverOrder:
    """Note that the order arrived."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel the order."""

    order_id: str
    reason: str
    reason_code: CancelReason = CancelReason.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment:
    """Pay back a part of a payment, or all of it."""

    order_id: str
    payment_id: str
    refund_id: str
    amount: Money


OrderCommand: TypeAlias = (
    PlaceOrder
    | AddOrderLine
    | RemoveOrderLine
    | ChangeOrderLineQuantity
    | RecordPayment
    | ShipOrder
    | DeliverOrder
    | CancelOrder
    | RefundPayment
)
