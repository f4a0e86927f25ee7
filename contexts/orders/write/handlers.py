"""How the commands of the context reach its domain."""

from collections.abc import Sequence
from typing import get_args

from contexts.orders.domain.commands import OrderCommand, PlaceOrder
from contexts.orders.domain.order import ORDER_DECIDER
from contexts.orders.domain.state import Order
from contexts.orders.events import ORDER_CATEGORY, OrderEvent
from contexts.orders.schemas import order_codec
from contexts.orders.view import OrderView, evolve_view
from contexts.orders.write.snapshots import OrderSnapshots
from contexts.orders.write.weight import weigh_order
from eventcore.aggregate import Aggregate, CommandHandler
from eventcore.messages import EventEnvelope


def _evolve(
    view: OrderView | None, event: OrderEvent, envelope: EventEnvelope
) -> OrderView:
    return evolve_view(
        view,
        envelope.stream.key,
        event,
        position=envelope.position,
        record_time=envelope.record_time,
    )


ORDER: Aggregate[OrderCommand, Order, OrderEvent, OrderView] = Aggregate(
    category=ORDER_CATEGORY,
    decider=ORDER_DECIDER,
    codec=order_codec,
    evolve_view=_evolve,
    creates=frozenset({PlaceOrder}),
    snapshots=OrderSnapshots(),
    weigh=weigh_order,
)

ORDER_HANDLERS: Sequence[CommandHandler] = [
    CommandHandler(command_type=command_type, aggregate=ORDER)
    for command_type in get_args(OrderCommand)
]
