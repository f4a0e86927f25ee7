"""Calls that are held back until there is room for their commands: first come, first served."""

from collections import OrderedDict

from eventcore.messages import Lane
from write_server.entries import Group


class Holding:
    """Groups of commands that wait for room, in a line for each lane that they need.

    A group of several lanes stands in each of their lines. It goes when it is the first in all of
    them and there is room in all of them; since it came to all lines in one moment, no two groups
    wait for each other.
    """

    def __init__(self) -> None:
        self._lines: dict[Lane, OrderedDict[Group, None]] = {
            lane: OrderedDict() for lane in Lane
        }
        self._counts = dict.fromkeys(Lane, 0)

    def count(self, lane: Lane) -> int:
        """Commands that wait for room in the lane."""
        return self._counts[lane]

    def add(self, group: Group) -> None:
        """Has a group wait, behind all that do."""
        for lane in _lanes(group):
            self._lines[lane][group] = None
        for entry in group.entries:
            self._counts[entry.lane] += 1

    def remove(self, group: Group) -> None:
        """Takes a group out."""
        for lane in _lanes(group):
            del self._lines[lane][group]
        for entry in group.entries:
            self._counts[entry.lane] -= 1

    def holds(self, group: Group) -> bool:
        """Whether the group waits."""
        return group in self._lines[group.entries[0].lane]

    def is_behind(self, group: Group, lane: Lane) -> bool:
        """Whether others wait for the lane, and came before the group."""
        line = self._lines[lane]
        return bool(line) and next(iter(line)) is not group

    def next(self, lane: Lane) -> Group | None:
        """Who is first in the line of a lane."""
        return next(iter(self._lines[lane]), None)

    def groups(self) -> list[Group]:
        """All that wait."""
        return list(dict.fromkeys(g for line in self._lines.values() for g in line))


def _lanes(group: Group) -> set[Lane]:
    return {entry.lane for entry in group.entries}
