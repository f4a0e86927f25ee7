"""Events on their way to who watches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contexts.orders.read.columns import order_key
from contexts.orders.wire.watching import WatchFilter

BATCH_BYTES_MAX = 64 * 1024
"""What one who watches holds in memory, and an event more: with a thousand slow ones that is 64
MB."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An event, and what tells whether somebody wants it."""

    position: int
    order: bytes
    customer_id: str
    type: str
    answer: bytes
    """Serialized, ready to be sent."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next."""

    answers: Sequence[bytes]
    end: int
    """Whatever else is wanted lies beyond this position."""


class Wanted:
    """A filter, ready to be asked many times."""

    def __init__(self, watch_filter: WatchFilter) -> None:
        self.orders = frozenset(map(order_key, watch_filter.order_ids))
        self.customer_id = watch_filter.customer_id
        self.types = watch_filter.event_types

    def matches(self, event: Watched) -> bool:
        """Whether it is one of those."""
        return (
            (not self.orders or event.order in self.orders)
            and (not self.customer_id or event.customer_id == self.customer_id)
            and (not self.types or event.type in self.types)
        )


def batch_of(answers: Iterable[tuple[int, bytes]], *, end: int) -> Batch:
    """As many of the answers as may be held.

    Args:
        answers: Each with its position, in order: all that are wanted, up to `end`.
        end: The position up to which they are all.
    """
    held: list[bytes] = []
    size = 0
    for position, answer in answers:
        held.append(answer)
        size += len(answer)
        if size >= BATCH_BYTES_MAX:
            return Batch(held, position)
    return Batch(held, end)
