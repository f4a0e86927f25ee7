"""Aggregates while their commands are executed, and the bounded cache between batches."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    snapshot_version: int = NO_STREAM
    """Of the newest snapshot that is known of."""

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
    return fold_onto(Loaded(aggregate, aggregate.decider.initial_state()), envelopes)


def fold_onto(loaded: Loaded, envelopes: Sequence[EventEnvelope]) -> Loaded:
    """The same aggregate, moved over the events that follow.

    Raises: as `fold`.
    """
    events = [loaded.aggregate.codec.decode(envelope) for envelope in envelopes]
    loaded.decided(events)
    loaded.stored(events, envelopes)
    return loaded


class AggregateCache:
    """The aggregates used last. What it holds may be behind the log, never ahead of it.

    An aggregate enters after its commit, and a batch that is given up evicts all it touched. It is
    bounded by number and by weight: small aggregates end at the first, large ones at the second.
    """

    def __init__(self, *, aggregates_max: int, bytes_max: int) -> None:
        """Args:
        aggregates_max: How many it holds.
        bytes_max: What they weigh together. One that weighs more by itself is not kept.
        """
        self._aggregates_max = aggregates_max
        self._bytes_max = bytes_max
        self._aggregates: OrderedDict[StreamId, _Weighed] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many it holds."""
        return len(self._aggregates)

    @property
    def bytes(self) -> int:
        """What they weigh together."""
        return self._bytes

    def get(self, stream: StreamId) -> Loaded | None:
        """A copy of the aggregate, to be changed by one batch."""
        weighed = self._aggregates.get(stream)
        if weighed is None:
            return None
        self._aggregates.move_to_end(stream)
        cached = weighed.loaded
        return Loaded(
            aggregate=cached.aggregate,
            state=cached.state,
            version=cached.version,
            view=cached.view,
            position=cached.position,
            assumed=True,
            snapshot_version=cached.snapshot_version,
        )

    def keep(self, aggregates: Mapping[StreamId, Loaded]) -> None:
        """Takes in what a batch has committed."""
        for stream, loaded in aggregates.items():
            if loaded.version != NO_STREAM:
                self._take_in(stream, loaded)
        while len(self._aggregates) > self._aggregates_max:
            self._drop_oldest()

    def has_snapshot(self, stream: StreamId, version: int) -> None:
        """Notes that an aggregate has a snapshot as of a version."""
        weighed = self._aggregates.get(stream)
        if weighed is not None:
            weighed.loaded.snapshot_version = version

    def evict(self, streams: Iterable[StreamId]) -> None:
        """Forgets what a batch that was given up has touched."""
        for stream in streams:
            self._drop(stream)

    def _take_in(self, stream: StreamId, loaded: Loaded) -> None:
        # Whatever becomes of the new one, the one before is behind the log now.
        self._drop(stream)
        weight = loaded.aggregate.weigh(loaded.state, loaded.view)
        if weight > self._bytes_max:
            return  # It would drive out all the others, and not fit even then.
        self._aggregates[stream] = _Weighed(loaded, weight)
        self._bytes += weight
        while self._bytes > self._bytes_max:
            self._drop_oldest()

    def _drop(self, stream: StreamId) -> None:
        weighed = self._aggregates.pop(stream, None)
        if weighed is not None:
            self._bytes -= weighed.bytes

    def _drop_oldest(self) -> None:
        _, weighed = self._aggregates.popitem(last=False)
        self._bytes -= weighed.bytes


class _Weighed(NamedTuple):
    """An aggregate, and what it weighed when it came: so what is taken off is what was put on."""

    loaded: Loaded
    bytes: int
