"""Events as dataclasses in the domain, as JSON in the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from eventcore.errors import UnknownEvent
from eventcore.messages import EventEnvelope

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The newest form of one type of event."""

    event_class: type[Any]
    schema_version: int = 1

    @property
    def type(self) -> str:
        """The name under which the log knows it. It is a storage format: never rename a class."""
        return self.event_class.__name__


class EventCodec(Generic[E]):
    """Encodes the events of one context, and decodes what the log holds of them."""

    def __init__(self, schemas: Iterable[EventSchema]) -> None:
        self._versions: dict[type[Any], tuple[str, int]] = {}
        self._decoders: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {}
        self._encoder = msgspec.json.Encoder()
        for schema in schemas:
            self._versions[schema.event_class] = (schema.type, schema.schema_version)
            self._decoders[schema.type, schema.schema_version] = msgspec.json.Decoder(
                schema.event_class
            )

    def encode(self, event: E) -> tuple[str, int, str]:
        """The type, the schema version and the JSON of an event."""
        event_type, schema_version = self._versions[type(event)]
        return event_type, schema_version, self._encoder.encode(event).decode()

    def decode(self, envelope: EventEnvelope) -> E:
        """The event in an envelope.

        Raises:
            UnknownEvent: its type or its schema version is not of this code.
            msgspec.ValidationError: the payload is not of its schema.
        """
        decoder = self._decoders.get((envelope.type, envelope.schema_version))
        if decoder is None:
            raise UnknownEvent(
                type=envelope.type,
                schema_version=envelope.schema_version,
                position=envelope.position,
            )
        event: E = decoder.decode(envelope.payload)
        return event
