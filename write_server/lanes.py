"""The lanes of the command queue: who waits, in which order, and who is taken next."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from eventcore.messages import Lane, StreamId

LANE_WEIGHTS: Mapping[Lane, int] = {Lane.CRITICAL: 8, Lane.NORMAL: 4, Lane.BULK: 1}
"""Shares of the writer while several lanes wait. What one does not use goes to the others."""


class Queued(Protocol):
    """What can wait in a lane."""

    @property
    def command_id(self) -> str: ...
    @property
    def stream(self) -> StreamId: ...


Q = TypeVar("Q", bound=Queued)


@dataclass(slots=True)
class _Queue(Generic[Q]):
    capacity: int
    weight: int
    credit: int = 0
    """Turns that are owed to it: they last from batch to batch, so that no batch is too small to
    give every lane its share in the end."""
    waiting: OrderedDict[str, Q] = field(default_factory=OrderedDict)
    held: int = 0
    """Slots in use: those that wait, and those whose outcome is not committed yet."""


class Lanes(Generic[Q]):
    """Bounded queues, one a lane, that keep the commands of one stream in order.

    A slot is held from `put` until `release` or `withdraw`. While a stream has a command waiting,
    its later ones queue behind it in that lane, whatever lane they ask for.
    """

    def __init__(self, capacities: Mapping[Lane, int]) -> None:
        self._queues: dict[Lane, _Queue[Q]] = {
            lane: _Queue(capacities[lane], weight)
            for lane, weight in LANE_WEIGHTS.items()
        }
        self._streams: dict[StreamId, tuple[Lane, int]] = {}

    def lane_for(self, stream: StreamId, wanted: Lane) -> Lane:
        """The lane that a command of the stream has to queue in."""
        bound = self._streams.get(stream)
        return wanted if bound is None else bound[0]

    def depth(self, lane: Lane) -> int:
        """Slots in use."""
        return self._queues[lane].held

    def capacity(self, lane: Lane) -> int:
        """Slots that there are."""
        return self._queues[lane].capacity

    def waiting(self, lane: Lane) -> int:
        """Commands that are not taken yet."""
        return len(self._queues[lane].waiting)

    def is_full(self, lane: Lane) -> bool:
        """Whether there is no slot left."""
        queue = self._queues[lane]
        return queue.held >= queue.capacity

    def put(self, item: Q, lane: Lane) -> None:
        """Queues a command in a lane that is not full and that `lane_for` has named."""
        queue = self._queues[lane]
        queue.waiting[item.command_id] = item
        queue.held += 1
        _, count = self._streams.get(item.stream, (lane, 0))
        self._streams[item.stream] = (lane, count + 1)

    def withdraw(self, item: Q, lane: Lane) -> None:
        """Takes a waiting command out, and gives its slot back."""
        queue = self._queues[lane]
        del queue.waiting[item.command_id]
        queue.held -= 1
        self._unbind(item.stream)

    def take(self, count_max: int) -> list[Q]:
        """The next commands to execute. They hold their slots until `release`."""
        taken: list[Q] = []
        while room := count_max - len(taken):
            active = [queue for queue in self._queues.values() if queue.waiting]
            if not active:
                break
            turns = room if len(active) == 1 else 1
            self._take_from(_next(active), turns, taken)
        return taken

    def release(self, lane: Lane) -> None:
        """Gives back the slot of a command whose outcome is settled."""
        self._queues[lane].held -= 1

    def _take_from(self, queue: _Queue[Q], count: int, taken: list[Q]) -> None:
        for _ in range(min(count, len(queue.waiting))):
            _, item = queue.waiting.popitem(last=False)
            self._unbind(item.stream)
            taken.append(item)

    def _unbind(self, stream: StreamId) -> None:
        lane, count = self._streams[stream]
        if count == 1:
            del self._streams[stream]
        else:
            self._streams[stream] = (lane, count - 1)


def _next(active: list[_Queue[Q]]) -> _Queue[Q]:
    """Whose turn it is: weighted round robin, as evenly as can be."""
    for queue in active:
        queue.credit += queue.weight
    chosen = max(active, key=lambda queue: queue.credit)
    chosen.credit -= sum(queue.weight for queue in active)
    return chosen
