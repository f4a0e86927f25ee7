"""A map that only grows, cheap to extend without changing the one that was there before."""

from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")
"""Anything but None, which stands for what is not there."""


@dataclass(frozen=True, slots=True)
class GrowingMap(Generic[V]):
    """An immutable map from text; adding to it gives a new one and leaves the old as it was.

    The state of an order is a value, and an order may have a thousand payments: a dict, copied
    for each of them, makes their fold quadratic. Here the items are in levels, each larger than
    the next, and an addition merges only the levels that are no larger than itself, as a binary
    counter carries. An item is copied log n times in all, and looking one up asks log n dicts.
    """

    levels: tuple[dict[str, V], ...] = ()

    def get(self, key: str) -> V | None:
        """What was added last under the key; None if nothing was."""
        for level in reversed(self.levels):
            value = level.get(key)
            if value is not None:
                return value
        return None

    def including(self, key: str, value: V) -> "GrowingMap[V]":
        """The map with one more item, which hides an earlier one of the same key."""
        kept = len(self.levels)
        newest = {key: value}
        while kept and len(self.levels[kept - 1]) <= len(newest):
            kept -= 1
            newest = self.levels[kept] | newest
        return GrowingMap((*self.levels[:kept], newest))
