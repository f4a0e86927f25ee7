"""About how much memory an order takes while it is kept.

Measured with tracemalloc, in bytes, over orders of one line, of 200 lines, of 1000 payments and of
as many refunds (text in ASCII):

| | order of 1 line | each line | each payment | each refund |
|---|---|---|---|---|
| references of 36 characters | 1570 | 345 | 415 | 410 |
| the same, read from a snapshot | 2330 | 720 | 605 | 510 |
| references of 128 characters, read from a snapshot | 2700 | 995 | 790 | 785 |

A snapshot shares nothing between the state and the view, and references may be as long as that, so
the last row is what counts: usual orders take a third to two thirds of their weight. The worst are
long references of nothing but emoji (4 bytes each): they take 2.5 times their weight.
"""

from contexts.orders.domain.state import Order
from contexts.orders.view import OrderView

ORDER_BYTES = 2600
"""Of an order without its lines and money, with a carrier and a reason of the greatest length."""
LINE_BYTES = 1000
PAYMENT_BYTES = 800
REFUND_BYTES = 800


def weigh_order(order: Order, _view: OrderView) -> int:
    """About how many bytes of memory an order takes, with its view. It looks at no line."""
    return (
        ORDER_BYTES
        + LINE_BYTES * len(order.lines)
        + PAYMENT_BYTES * order.payment_count
        + REFUND_BYTES * order.refund_count
    )
