"""Events to JSON and back."""

from dataclasses import dataclass

import msgspec
import pytest

from eventcore.codec import EventCodec, EventSchema
from eventcore.errors import UnknownEvent
from eventcore.log import place
from eventcore.messages import EventEnvelope
from tests.support.envelopes import a_new_event, a_stream, an_append


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    name: str
    numbers: tuple[int, ...] = ()


class Other(Happened):
    """A type that the codec was not told of."""


codec: EventCodec[Happened] = EventCodec([EventSchema(Happened, schema_version=2)])


def an_envelope(type_name: str, schema_version: int, payload: str) -> EventEnvelope:
    (envelope,) = place([an_append(a_stream())], after=6, record_time=1)
    event = a_new_event()
    return EventEnvelope(
        position=envelope.position,
        event_id=event.event_id,
        stream=envelope.stream,
        stream_version=envelope.stream_version,
        type=type_name,
        schema_version=schema_version,
        record_time=envelope.record_time,
        payload=payload,
        trace=event.trace,
    )


def test_an_event_comes_back_as_it_was() -> None:
    event = Happened(name="Größe \x01 😀", numbers=(1, 2**63 - 1))
    assert codec.decode(an_envelope(*codec.encode(event))) == event


def test_it_is_json_that_people_can_read() -> None:
    assert codec.encode(Happened(name="a", numbers=(1, 2))) == (
        "Happened",
        2,
        '{"name":"a","numbers":[1,2]}',
    )


@pytest.mark.parametrize(
    ("type_name", "version"), [("Happened", 1), ("Happened", 3), ("Other", 2)]
)
def test_what_is_not_of_this_code_is_never_guessed_at(
    type_name: str, version: int
) -> None:
    with pytest.raises(UnknownEvent) as raised:
        codec.decode(an_envelope(type_name, version, '{"name":"a"}'))
    error = raised.value
    assert (error.type, error.schema_version, error.position) == (type_name, version, 7)


@pytest.mark.parametrize("payload", ['{"name":1}', "{}", '{"name":'])
def test_a_payload_that_is_not_of_its_schema_is_an_error(payload: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        codec.decode(an_envelope("Happened", 2, payload))


def test_an_event_that_the_codec_was_not_told_of_is_not_written() -> None:
    with pytest.raises(KeyError):
        codec.encode(Other(name="a"))
