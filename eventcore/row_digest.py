"""A digest of rows that does not depend on their order, so that a table can be read in whatever
order costs least.

It is the sum of the hashes of all rows (M. Bellare, D. Micciancio: A New Paradigm for
Collision-Free Hashing, "AdHash"). It finds what goes wrong by accident; it is no proof against
somebody who wants two tables to look alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from eventcore.model_tables import Values

_HASH_BYTES = 16
_MODULUS = 1 << (8 * _HASH_BYTES)

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds, in short: equal for equal rows."""

    rows: int
    digest: int


class RowDigest:
    """Takes rows in, in any order."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Values]) -> None:
        """Takes rows in, each the values of all columns in their order."""
        encode = _encoder.encode
        for row in rows:
            hashed = blake2b(encode(row), digest_size=_HASH_BYTES).digest()
            self._sum += int.from_bytes(hashed, "little")
            self._rows += 1

    def result(self) -> TableDigest:
        """The digest of what was taken in."""
        return TableDigest(self._rows, self._sum % _MODULUS)
