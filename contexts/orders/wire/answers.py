"""Orders as read models keep them: serialized, ready to be part of an answer."""

from contexts.orders.view import OrderView
from contexts.orders.wire.values import order_from_proto, order_to_proto
from orderes.v1 import order_pb2


def order_to_answer(view: OrderView) -> bytes:
    """An order, serialized."""
    return order_to_proto(view).SerializeToString(deterministic=True)


def order_from_answer(answer: bytes) -> OrderView:
    """The order that `order_to_answer` serialized."""
    return order_from_proto(order_pb2.Order.FromString(answer))
