"""How commands reach the domain: aggregates, and the one handler of each type of command."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from eventcore.codec import EventCodec
from eventcore.decider import Decider
from eventcore.errors import StartFailed
from eventcore.messages import EventEnvelope

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
V = TypeVar("V")


ALIKE_BYTES = 4096
"""What an aggregate that does not say how it is weighed counts for."""


def weigh_alike(_state: object, _view: object) -> int:
    """The same for every aggregate: right for those that stay small."""
    return ALIKE_BYTES


class SnapshotCodec(Protocol[S, V]):
    """The state and the view of an aggregate, as the payload of its snapshots."""

    @property
    def schema_version(self) -> int:
        """Of the payload. Raised with every change of the state, the view, or how they fold:
        snapshots of another version are ignored, and replaced in time.
        """

    def encode(self, state: S, view: V) -> bytes:
        """The payload."""

    def decode(self, payload: bytes) -> tuple[S, V]:
        """The state and the view that a payload of this version was made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Generic[C, S, E, V]):
    """All that the write side needs to execute commands of one category of streams."""

    category: str
    decider: Decider[C, S, E]
    codec: EventCodec[E]
    evolve_view: Callable[[V | None, E, EventEnvelope], V]
    """Folds a stored event into what clients see; the view is None before the first."""
    creates: frozenset[type[Any]]
    """The commands that begin a stream."""
    snapshots: SnapshotCodec[S, V] | None = None
    """How it is kept in snapshots; None for one whose streams stay short."""
    weigh: Callable[[S, V], int] = weigh_alike
    """About how many bytes of memory a state and its view take. It is asked for every aggregate of
    every batch, so it counts what there is and does not look at each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHandler:
    """Says which aggregate a type of command goes to."""

    command_type: type[Any]
    aggregate: Aggregate[Any, Any, Any, Any]

    @property
    def name(self) -> str:
        """The name of the type on the wire and in the journal."""
        return self.command_type.__name__


class CommandHandlers:
    """Exactly one handler for each type of command that clients can send."""

    def __init__(
        self, handlers: Iterable[CommandHandler], *, required: Iterable[str]
    ) -> None:
        """Checks the handlers of all contexts.

        Args:
            handlers: Of every context.
            required: The names of the command types that the services take.

        Raises:
            StartFailed: a type has no handler, or more than one. It names all of them.
        """
        known = list(handlers)
        counts = Counter(handler.name for handler in known)
        faults = [f"{name} has no handler" for name in required if not counts[name]]
        faults += [f"{name} has {n} handlers" for name, n in counts.items() if n > 1]
        if faults:
            raise StartFailed(
                f"every command needs exactly one handler: {'; '.join(sorted(faults))}"
            )
        self._aggregates = {handler.name: handler.aggregate for handler in known}
        self._decoders = {
            handler.name: msgspec.json.Decoder(handler.command_type)
            for handler in known
        }
        self._encoder = msgspec.json.Encoder()

    def aggregate_of(self, command_type: str) -> Aggregate[Any, Any, Any, Any]:
        """The aggregate that a command of that name goes to."""
        return self._aggregates[command_type]

    def payload_of(self, command: object) -> str:
        """The command as JSON, for as long as it is stored and may have to be executed."""
        return self._encoder.encode(command).decode()

    def command_of(self, command_type: str, payload: str) -> object:
        """The command that a payload of that type holds.

        Raises:
            msgspec.ValidationError: the payload is not of the type.
        """
        return self._decoders[command_type].decode(payload)
