"""One order that the examples share: two lines, 19.99 EUR in all, paid in two payments."""

from contexts.orders.domain.commands import PlaceOrder
from contexts.orders.events import (
    CancelReason,
    Money,
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

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"


def euro(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


def dollar(minor_units: int) -> Money:
    return Money(currency_code="USD", minor_units=minor_units)


def line(
    product_id: str, quantity: int = 1, unit_price: Money | None = None
) -> OrderLine:
    return OrderLine(
        product_id=product_id, quantity=quantity, unit_price=unit_price or euro(1)
    )


APPLES = line("apples", 2, euro(500))
BREAD = line("bread", 1, euro(999))

PLACE = PlaceOrder(order_id=ORDER_ID, customer_id="customer-1", lines=(APPLES, BREAD))

PLACED = OrderPlaced(
    customer_id="customer-1", currency_code="EUR", lines=(APPLES, BREAD)
)
FIRST_PAYMENT = PaymentReceived(payment_id="payment-1", amount=euro(1000))
SECOND_PAYMENT = PaymentReceived(payment_id="payment-2", amount=euro(999))
PAID = OrderPaid(amount_paid=euro(1999))
SHIPPED = OrderShipped(carrier="post", tracking_number="T-1")
DELIVERED = OrderDelivered()
CANCELLED = OrderCancelled(
    reason="changed my mind",
    reason_code=CancelReason.CUSTOMER_REQUEST,
    refund_due=euro(1000),
)
REFUND = PaymentRefunded(payment_id="payment-1", refund_id="refund-1", amount=euro(400))

EVERY_EVENT: tuple[OrderEvent, ...] = (
    PLACED,
    OrderLineAdded(line=APPLES),
    OrderLineRemoved(product_id="apples"),
    OrderLineQuantityChanged(product_id="apples", old_quantity=2, new_quantity=3),
    FIRST_PAYMENT,
    PAID,
    SHIPPED,
    DELIVERED,
    CANCELLED,
    REFUND,
)

PLACED_ORDER: tuple[OrderEvent, ...] = (PLACED,)
PARTLY_PAID_ORDER = (*PLACED_ORDER, FIRST_PAYMENT)
PAID_ORDER = (*PARTLY_PAID_ORDER, SECOND_PAYMENT, PAID)
SHIPPED_ORDER = (*PAID_ORDER, SHIPPED)
DELIVERED_ORDER = (*SHIPPED_ORDER, DELIVERED)
CANCELLED_ORDER = (*PARTLY_PAID_ORDER, CANCELLED)
REFUNDED_ORDER = (*DELIVERED_ORDER, REFUND)
