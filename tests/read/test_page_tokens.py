"""Page tokens: they come back as they were, to the query that they belong to, or are refused."""

import base64
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore import page_tokens
from eventcore.page_tokens import (
    TOKEN_CHARACTERS_MAX,
    Int64,
    InvalidPageToken,
    PageStart,
    PageTokens,
)


class Key(NamedTuple):
    time: Int64
    name: bytes


class OtherKey(NamedTuple):
    name: bytes


TOKENS = PageTokens(Key)
QUERY = ("query", 1)
START = PageStart(after=Key(5, b"five"), first_position=7)
TOKEN = TOKENS.write(START, query=QUERY)

keys = st.builds(Key, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40))
starts = st.builds(PageStart, after=keys, first_position=st.integers(0, 2**63 - 1))


@given(starts, st.text())
def test_a_token_comes_back_as_it_was(start: PageStart[Key], query: str) -> None:
    token = TOKENS.write(start, query=query)
    assert TOKENS.read(token, query=query) == start
    assert token.replace("-", "").replace("_", "").isalnum()
    assert len(token) <= TOKEN_CHARACTERS_MAX


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidPageToken, match="leave page_token empty"):
        TOKENS.read(text, query=QUERY)


@given(st.binary(max_size=100))
def test_content_of_another_shape_is_refused(content: bytes) -> None:
    """Also with a good checksum: nobody signs them."""
    body = content + b"\xff"
    with pytest.raises(InvalidPageToken):
        TOKENS.read(forged(body), query=QUERY)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABCxyz019-_"))
def test_a_token_with_one_character_changed_is_refused(
    place: int, character: str
) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(InvalidPageToken):
            TOKENS.read(changed, query=QUERY)


def test_a_token_of_another_query_is_refused() -> None:
    with pytest.raises(InvalidPageToken, match="belongs to another query"):
        TOKENS.read(TOKEN, query=("query", 2))


def test_a_token_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidPageToken, match="not a token of this list"):
        PageTokens(OtherKey).read(TOKEN, query=QUERY)


@pytest.mark.parametrize("numbers", [(2**63, 0), (5, -1), (5, 2**63)])
def test_numbers_that_no_database_holds_are_refused(numbers: tuple[int, int]) -> None:
    time, position = numbers
    body = msgspec.msgpack.encode((1, b"12345678", position, (time, b"")))
    with pytest.raises(InvalidPageToken, match="not a token of this list"):
        TOKENS.read(forged(body), query=QUERY)


def test_a_token_of_another_release_is_refused() -> None:
    body = msgspec.msgpack.encode((2, b"12345678", 0, (5, b"")))
    with pytest.raises(InvalidPageToken, match="another release"):
        TOKENS.read(forged(body), query=QUERY)


def forged(body: bytes) -> str:
    """A token around any body, with the right checksum."""
    content = body + page_tokens._checksum(body)
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
