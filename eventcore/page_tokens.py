"""Page tokens: where the next page of a list begins, bound to the query that the list answers.

A token is not secret and not signed: it can name nothing that its bearer could not ask for anyway.
Its checksum tells a token that was cut or mistyped from a good one, and what is decoded is checked
like any other input.
"""

import base64
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Generic, TypeVar

import msgspec

K = TypeVar("K")

TOKEN_CHARACTERS_MAX = 1000
"""A good token is far shorter; a longer one is not looked at."""

TOKEN_VERSION = 1
"""Of the form below. A token of another version is refused, and its list begun again."""

_DIGEST_BYTES = 8
_CHECKSUM_BYTES = 4

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Whole numbers that a database can compare with its own."""

Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A place in the log, or before it."""


class InvalidPageToken(ValueError):
    """The token cannot be used; the message says why and what to do, for whoever sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageStart(Generic[K]):
    """Where a page begins."""

    after: K
    """Sort key of the last row of the page before."""
    first_position: int
    """Position of the first page's answer: no later page may be older."""


class PageTokens(Generic[K]):
    """Writes and reads the tokens of one list, whose rows are sorted by keys of one type."""

    def __init__(self, key_type: type[K]) -> None:
        self._decoder = msgspec.msgpack.Decoder(
            tuple[int, bytes, Position, key_type]  # type: ignore[valid-type]
        )
        self._encoder = msgspec.msgpack.Encoder()

    def write(self, start: PageStart[K], *, query: object) -> str:
        """The token of a page of a query."""
        body = self._encoder.encode(
            (TOKEN_VERSION, _query_digest(query), start.first_position, start.after)
        )
        return _text(body + _checksum(body))

    def read(self, token: str, *, query: object) -> PageStart[K]:
        """The page that a token names.

        Raises:
            InvalidPageToken: it is damaged, of another release, or of another query.
        """
        try:
            version, digest, first_position, after = self._decoder.decode(_body(token))
        except (ValueError, msgspec.DecodeError):
            raise InvalidPageToken(
                "is not a token of this list: send next_page_token as it came, or leave "
                "page_token empty to begin again"
            ) from None
        if version != TOKEN_VERSION:
            raise InvalidPageToken(
                "is of another release: leave page_token empty to begin again"
            )
        if digest != _query_digest(query):
            raise InvalidPageToken(
                "belongs to another query: repeat every other field but page_size as in "
                "the request of the first page, or leave page_token empty to begin again"
            )
        return PageStart(after=after, first_position=first_position)


def _body(token: str) -> bytes:
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise ValueError
    padded = token + "=" * (-len(token) % 4)
    content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    if _text(content) != token:  # The last character has bits that decoding ignores.
        raise ValueError
    body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if checksum != _checksum(body):
        raise ValueError
    return body


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM_BYTES, person=b"page token").digest()


def _query_digest(query: object) -> bytes:
    # The encoding names the fields in their order, so it is the same in every process.
    content = msgspec.msgpack.encode(query)
    return blake2b(content, digest_size=_DIGEST_BYTES, person=b"page query").digest()
