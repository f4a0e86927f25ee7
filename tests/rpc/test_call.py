"""What the metadata of a request says."""

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.rpc.call import Call, call_of, current_call

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def read(
    *metadata: tuple[str, str | bytes], metadata_bytes_max: int = 16 * 1024
) -> Call:
    return call_of(
        "/test.v1.Texts/UnaryUnary",
        metadata,
        metadata_bytes_max=metadata_bytes_max,
        draining=asyncio.Event(),
    )


def wrong_keys(call: Call) -> list[str]:
    return [violation.field for violation in call.violations]


def test_without_a_correlation_id_the_server_makes_a_uuid_of_version_7() -> None:
    call = read(("user-agent", "test"))
    assert UUID(call.correlation_id).version == 7
    assert (call.causation_id, call.traceparent, call.violations) == ("", "", [])


def test_every_call_without_one_gets_a_correlation_id_of_its_own() -> None:
    assert read().correlation_id != read().correlation_id


@given(st.text(PRINTABLE, min_size=1, max_size=128))
def test_printable_ids_of_up_to_128_characters_are_taken_as_they_are(
    value: str,
) -> None:
    call = read(("x-correlation-id", value), ("x-causation-id", value))
    assert (call.correlation_id, call.causation_id) == (value, value)
    assert call.violations == []


@pytest.mark.parametrize(
    "value", ["", "x" * 129, "caf\u00e9", "a\tb", "a\n", "\x7f", b"raw"]
)
def test_a_malformed_id_is_a_violation_and_is_not_used(value: str | bytes) -> None:
    call = read(("x-correlation-id", value), ("x-causation-id", value))
    assert wrong_keys(call) == ["x-correlation-id", "x-causation-id"]
    assert UUID(call.correlation_id).version == 7
    assert call.causation_id == ""


def test_a_traceparent_is_taken_over() -> None:
    assert read(("traceparent", TRACEPARENT)).traceparent == TRACEPARENT


def test_a_traceparent_of_a_later_version_is_read_as_far_as_version_00_goes() -> None:
    assert (
        read(("traceparent", f"cc-{TRACE}-{PARENT}-01-more")).traceparent == TRACEPARENT
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        TRACEPARENT.upper(),
        f" {TRACEPARENT}",
        TRACEPARENT.encode(),
    ],
)
def test_a_malformed_traceparent_is_ignored_and_no_violation(
    value: str | bytes,
) -> None:
    call = read(("traceparent", value))
    assert (call.traceparent, call.violations) == ("", [])


def test_metadata_may_have_as_many_bytes_as_its_limit_and_not_one_more() -> None:
    metadata: list[tuple[str, str | bytes]] = [("a", "bc"), ("d-bin", b"\0" * 8)]
    size = (1 + 2 + 32) + (5 + 8 + 32)
    assert read(*metadata, metadata_bytes_max=size).violations == []
    (violation,) = read(*metadata, metadata_bytes_max=size - 1).violations
    assert violation.field == "metadata"
    assert f"has {size} bytes, at most {size - 1} are allowed" in violation.description


def test_many_small_entries_count_too() -> None:
    metadata = [("a", "")] * 1000
    assert wrong_keys(read(*metadata)) == ["metadata"]


def test_outside_of_a_call_there_is_no_current_one() -> None:
    with pytest.raises(LookupError):
        current_call()
