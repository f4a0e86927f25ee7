"""Places in the log: those that a client has written or read, so that it reads no older answer."""

import re
from dataclasses import dataclass
from typing import Self

from orderes.v1.command_pb2 import Command
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.query_service_pb2 import WatchMark

STORES_MAX = 8
"""Stores that a client remembers positions of. It speaks with one; of those that were replaced
there are a few."""

_TEXT = re.compile(r"(?P<position>[0-9]{1,19})@(?P<store_id>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the log of an event store. `str` and `parse` carry it to another service."""

    position: int
    """From 1; 0 is before the first event."""
    store_id: str = ""
    """The store that it is of; empty is not said, and not checked."""

    @classmethod
    def of(cls, message: Command | ReadInfo | WatchMark) -> Self:
        """The position that a receipt, an answer or a mark names. That of a command which is not
        committed is 0.
        """
        return cls(position=message.position, store_id=message.store_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `str` has written.

        Raises:
            ValueError: it has not.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a position, as in 17@<store_id>")
        return cls(position=int(match["position"]), store_id=match["store_id"])

    def __str__(self) -> str:
        return f"{self.position}@{self.store_id}"


class SeenPositions:
    """The highest position that a client knows of each store.

    The newest store is the one that was heard of last for the first time. An answer of the store
    before it may still be on its way, and does not bring that one back.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    @property
    def newest(self) -> Position | None:
        """How far the newest store is known; None before anything was written or read."""
        if not self._positions:
            return None
        store_id, position = next(reversed(self._positions.items()))
        return Position(position=position, store_id=store_id)

    def note(self, position: Position) -> None:
        """Takes in what was written or read. What is not committed has no position."""
        if position.position < 1 or not position.store_id:
            return
        known = self._positions.get(position.store_id, 0)
        self._positions[position.store_id] = max(known, position.position)
        if len(self._positions) > STORES_MAX:
            del self._positions[next(iter(self._positions))]

    def replaced_by(self, store_id: str) -> None:
        """Forgets every store but the one that answered now."""
        position = self._positions.get(store_id)
        self._positions = {} if position is None else {store_id: position}
