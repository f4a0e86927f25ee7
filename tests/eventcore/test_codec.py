"""Events to JSON and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from eventcore.codec import EventCodec, EventSchema, Upcaster
from eventcore.errors import MalformedEvent, UnknownEvent
from eventcore.log import place
from eventcore.messages import EventEnvelope
from tests.support.envelopes import a_new_event, a_stream, an_append


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    name: str
    numbers: tuple[int, ...] = ()


class Other(Happened):
    """A type that the codec was not told of."""


def renamed(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": content["title"]}


def with_numbers(content: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**content, "numbers": [1, 2]}


codec: EventCodec[Happened] = EventCodec([EventSchema(Happened)])
grown: EventCodec[Happened] = EventCodec(
    [EventSchema(Happened, schema_version=3, upcasters={1: renamed, 2: with_numbers})]
)
"""Version 1 had a title, version 2 a name, and version 3 has numbers beside it."""


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
        1,
        '{"name":"a","numbers":[1,2]}',
    )


@pytest.mark.parametrize(
    ("type_name", "version"), [("Happened", 0), ("Happened", 2), ("Other", 1)]
)
def test_what_is_not_of_this_code_is_never_guessed_at(
    type_name: str, version: int
) -> None:
    with pytest.raises(UnknownEvent) as raised:
        codec.decode(an_envelope(type_name, version, '{"name":"a"}'))
    error = raised.value
    assert (error.type, error.schema_version, error.position) == (type_name, version, 7)
    assert error.event_id in error.message
    assert f"{type_name} version {version}" in error.message
    assert "position 7" in error.message
    assert "run the release that wrote it" in error.message


NOT_OF_ITS_SCHEMA = ['{"name":1}', "{}", '{"name":', "[1]", "null", '"name"', ""]


@pytest.mark.parametrize("payload", NOT_OF_ITS_SCHEMA)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_payload_that_is_not_of_its_schema_is_an_error(
    version: int, payload: str
) -> None:
    with pytest.raises(MalformedEvent) as raised:
        grown.decode(an_envelope("Happened", version, payload))
    error = raised.value
    assert (error.type, error.schema_version) == ("Happened", version)
    assert error.position == 7
    assert error.event_id in error.message
    assert f"no Happened of version {version}" in error.message
    assert "put back a write store" in error.message


def test_an_old_version_goes_through_every_step_to_the_newest() -> None:
    assert grown.decode(an_envelope("Happened", 1, '{"title":"a"}')) == Happened(
        name="a", numbers=(1, 2)
    )
    assert grown.decode(an_envelope("Happened", 2, '{"name":"a"}')) == Happened(
        name="a", numbers=(1, 2)
    )
    assert grown.decode(an_envelope("Happened", 3, '{"name":"a"}')) == Happened(
        name="a"
    )


def test_only_the_newest_version_is_written_and_all_are_read() -> None:
    assert grown.encode(Happened(name="a"))[:2] == ("Happened", 3)
    assert grown.schema_version_of(Happened(name="a")) == 3
    assert grown.versions == {("Happened", 1), ("Happened", 2), ("Happened", 3)}


def test_the_newest_version_makes_no_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgspec, "convert", None)
    event = Happened(name="a", numbers=(1,))
    assert grown.decode(an_envelope(*grown.encode(event))) == event
    with pytest.raises(MalformedEvent):
        grown.decode(an_envelope("Happened", 2, '{"name":"a"}'))


@pytest.mark.parametrize(
    ("upcasters", "fault"),
    [
        ({}, "none from version 1, none from version 2"),
        ({1: renamed}, "none from version 2"),
        ({2: with_numbers}, "none from version 1"),
        ({1: renamed, 2: with_numbers, 3: renamed}, "one from version 3"),
        ({0: renamed, 1: renamed, 2: with_numbers}, "one from version 0"),
    ],
)
def test_a_chain_of_upcasters_without_a_hole_and_no_other(
    upcasters: dict[int, Upcaster], fault: str
) -> None:
    schema = EventSchema(Happened, schema_version=3, upcasters=upcasters)
    with pytest.raises(ValueError, match=f"Happened is at version 3.*{fault}:"):
        EventCodec([schema])


def test_an_event_that_the_codec_was_not_told_of_is_not_written() -> None:
    with pytest.raises(KeyError):
        codec.encode(Other(name="a"))
