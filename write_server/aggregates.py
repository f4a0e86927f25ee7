"""Aggregates while their commands are executed, and the bounded cache between batches."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventcore.aggregate import Aggregate
from eventcore.messages import NO_STREAM, EventEnvelope, StreamId


@dataclass(slots=True)
class Loaded:
    """An aggregate as of a version, advancing with the decisions of one batch.

    The state runs ahead of the view: a decision changes the state at once, and the view when the
    events have their positions.
    """

    aggregate: Aggregate[Any, Any, Any, Any]
    state: Any
    version: int = NO_STREAM
    view: Any = None
    position: int = 0
    assumed: bool = False
    """From the cache, or taken for new: its version was not read in the transaction under way."""

    def decided(self, events: Sequence[Any]) -> None:
        """Moves the state over events that were decided."""
        state = self.state
        for event in events:
            state = self.aggregate.decider.evolve(state, event)
        # Only now, so that a fold which breaks halfway changes nothing.
        self.state = state
        self.version += len(events)

    def stored(self, events: Sequence[Any], envelopes: Sequence[EventEnvelope]) -> None:
        """Moves the view over events that have their places."""
        for event, envelope in zip(events, envelopes, strict=True):
            self.view = self.aggregate.evolve_view(self.view, event, envelope)
            self.position = envelope.position


def assume_new(aggregate: Aggregate[Any, Any, Any, Any]) -> Loaded:
    """An aggregate that is taken for new: the append will find out."""
    return Loaded(aggregate, aggregate.decider.initial_state(), assumed=True)


def fold(
    aggregate: Aggregate[Any, Any, Any, Any], envelopes: Sequence[EventEnvelope]
) -> Loaded:
    """The aggregate after its events.

    Raises:
        UnknownEvent: one of them is of a type or version that this code does not know.
    """
    loaded = Loaded(aggregate, aggregate.decider.initial_state())
    events = [aggregate.codec.decode(envelope) for envelope in envelopes]
    loaded.decided(events)
    loaded.stored(events, envelopes)
    return loaded


class AggregateCache:
    """The aggregates used last. What it holds may be behind the log, never ahead of it.

    An aggregate enters after its commit, and a batch that is given up evicts all it touched.
    """

    def __init__(self, aggregates_max: int) -> None:
        self._aggregates_max = aggregates_max
        self._aggregates: OrderedDict[StreamId, Loaded] = OrderedDict()

    def get(self, stream: StreamId) -> Loaded | None:
        """A copy of the aggregate, to be changed by one batch."""
        cached = self._aggregates.get(stream)
        if cached is None:
            return None
        self._aggregates.move_to_end(stream)
        return Loaded(
            aggregate=cached.aggregate,
            state=cached.state,
            version=cached.version,
            view=cached.view,
            position=cached.position,
            assumed=True,
        )

    def keep(self, aggregates: Mapping[StreamId, Loaded]) -> None:
        """Takes in what a batch has committed."""
        for stream, loaded in aggregates.items():
            if loaded.version != NO_STREAM:
                self._aggregates[stream] = loaded
                self._aggregates.move_to_end(stream)
        while len(self._aggregates) > self._aggregates_max:
            self._aggregates.popitem(last=False)

    def evict(self, streams: Iterable[StreamId]) -> None:
        """Forgets what a batch that was given up has touched."""
        for stream in streams:
            self._aggregates.pop(stream, None)
