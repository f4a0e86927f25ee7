"""Events as dataclasses in the domain, as JSON in the log, and old versions of them as new ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from eventcore.errors import MalformedEvent, UnknownEvent
from eventcore.messages import EventEnvelope

E = TypeVar("E")

Upcaster: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Makes the decoded JSON of a version into that of the next one. Pure: it leaves the old as it was,
and what it adds follows from nothing but the old."""

_MALFORMED = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What decoding fails with. An upcaster takes the content of its version for granted, so it may
fail in many ways at what is something else."""


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The newest form of one type of event, and how older ones come to it."""

    event_class: type[Any]
    schema_version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    """The step from each older version to the next, by the version that it starts from."""

    @property
    def type(self) -> str:
        """The name under which the log knows it. It is a storage format: never rename a class."""
        return self.event_class.__name__

    def steps_from(self, version: int) -> Sequence[Upcaster]:
        """The upcasters that an event of an older version goes through, in order."""
        return [self.upcasters[step] for step in range(version, self.schema_version)]


@dataclass(frozen=True, slots=True)
class _Ascent:
    """How an event of an older version becomes one of the newest."""

    event_class: type[Any]
    steps: Sequence[Upcaster]

    def decode(self, payload: str) -> Any:
        content: Any = msgspec.json.decode(payload)
        for step in self.steps:
            content = step(content)
        return msgspec.convert(content, self.event_class)


class EventCodec(Generic[E]):
    """Encodes the events of one context, and decodes what the log holds of them.

    It writes only the newest version of each, and reads all: whoever decodes sees the newest alone.
    """

    def __init__(self, schemas: Iterable[EventSchema]) -> None:
        """Takes the events of a context.

        Raises:
            ValueError: a version has no step to the next, or a step belongs to no version.
        """
        self._versions: dict[type[Any], tuple[str, int]] = {}
        self._decoders: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {}
        self._ascents: dict[tuple[str, int], _Ascent] = {}
        self._encoder = msgspec.json.Encoder()
        for schema in schemas:
            _check_chain(schema)
            newest = (schema.type, schema.schema_version)
            self._versions[schema.event_class] = newest
            self._decoders[newest] = msgspec.json.Decoder(schema.event_class)
            for version in range(1, schema.schema_version):
                self._ascents[schema.type, version] = _Ascent(
                    schema.event_class, schema.steps_from(version)
                )

    @property
    def versions(self) -> frozenset[tuple[str, int]]:
        """Every type and schema version that it reads."""
        return frozenset((*self._decoders, *self._ascents))

    def schema_version_of(self, event: E) -> int:
        """The schema version of an event in the form that this code knows: the newest."""
        return self._versions[type(event)][1]

    def encode(self, event: E) -> tuple[str, int, str]:
        """The type, the schema version and the JSON of an event."""
        event_type, schema_version = self._versions[type(event)]
        return event_type, schema_version, self._encoder.encode(event).decode()

    def decode(self, envelope: EventEnvelope) -> E:
        """The event in an envelope, in its newest form.

        Raises:
            UnknownEvent: its type or its schema version is not of this code.
            MalformedEvent: its payload is not of its schema.
        """
        version = (envelope.type, envelope.schema_version)
        # Nearly every event is of the newest version: it is decoded in one go.
        decoder = self._decoders.get(version) or self._ascents.get(version)
        if decoder is None:
            raise UnknownEvent(
                event_id=envelope.event_id,
                type=envelope.type,
                schema_version=envelope.schema_version,
                position=envelope.position,
            )
        try:
            event: E = decoder.decode(envelope.payload)
        except _MALFORMED as error:
            raise MalformedEvent(
                event_id=envelope.event_id,
                type=envelope.type,
                schema_version=envelope.schema_version,
                position=envelope.position,
            ) from error
        return event


def _check_chain(schema: EventSchema) -> None:
    needed, given = set(range(1, schema.schema_version)), set(schema.upcasters)
    faults = [f"none from version {version}" for version in sorted(needed - given)]
    faults += [f"one from version {version}" for version in sorted(given - needed)]
    if faults:
        raise ValueError(
            f"{schema.type} is at version {schema.schema_version}, and of its upcasters "
            f"there is {', '.join(faults)}: there must be one from each older version"
        )
