"""The read models of orders. A new one is a file beside this, and a line in here."""

from collections.abc import Sequence

from contexts.orders.read.customer_summary import CUSTOMER_SUMMARY
from contexts.orders.read.order_events import ORDER_EVENTS
from contexts.orders.read.orders import ORDERS
from contexts.orders.read.product_sales import PRODUCT_SALES
from eventcore.projection import Projection

ORDER_PROJECTIONS: Sequence[Projection] = (
    ORDERS,
    ORDER_EVENTS,
    CUSTOMER_SUMMARY,
    PRODUCT_SALES,
)
