"""The facts of an order's life.

Class names and fields are a storage format: the log keeps them for ever. They change only by a new
schema version, with an upcaster for the old one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

ORDER_CATEGORY = "order"
"""The category of the streams: one stream is one order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An exact amount in the minor unit of its currency: 1999 EUR is 19.99 euro."""

    currency_code: str
    minor_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """A product of an order: how many pieces, and the price of one."""

    product_id: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An order was placed."""

    customer_id: str
    currency_code: str
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineAdded:
    """A product was added."""

    line: OrderLine


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineRemoved:
    """A product was removed."""

    product_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineQuantityChanged:
    """The quantity of a product changed."""

    product_id: str
    old_quantity: int
    new_quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReceived:
    """Money came in."""

    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaid:
    """Nothing more is due."""

    amount_paid: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShipped:
    """The order left."""

    carrier: str
    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDelivered:
    """The order arrived."""


class CancelReason(Enum):
    """Why an order is cancelled, as a code."""

    CUSTOMER_REQUEST = "CUSTOMER_REQUEST"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    FRAUD = "FRAUD"
    OTHER = "OTHER"
    """The text says what. So are cancellations read that were written without a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    """The order was cancelled; what was paid is now owed back. Version 2 has brought the code."""

    reason: str
    reason_code: CancelReason
    refund_due: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRefunded:
    """Money went back."""

    payment_id: str
    refund_id: str
    amount: Money


OrderEvent: TypeAlias = (
    OrderPlaced
    | OrderLineAdded
    | OrderLineRemoved
    | OrderLineQuantityChanged
    | PaymentReceived
    | OrderPaid
    | OrderShipped
    | OrderDelivered
    | OrderCancelled
    | PaymentRefunded
)
