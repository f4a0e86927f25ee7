"""The read models of orders. A new one is a file beside this, and a line in here."""

from collections.abc import Sequence

from contexts.orders.read.order_events import OrderEventsProjection
from contexts.orders.read.orders import OrdersProjection
from eventcore.projection import Projection

ORDER_PROJECTIONS: Sequence[Projection] = (
    OrdersProjection(),
    OrderEventsProjection(),
)
