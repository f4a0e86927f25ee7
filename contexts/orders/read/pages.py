"""Pages of lists: how much fits into one, and where the next one begins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from contexts.orders.read.moments import Known
from eventcore.freshness import Requirement
from eventcore.page_tokens import PageStart

PAGE_BYTES_MAX = 3 * 1024 * 1024
"""A page ends early, rather than outgrow the 4 MiB that a client takes unless told otherwise."""

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[R, K]):
    """Rows of a list, how fresh they are, and where the next page begins."""

    rows: Sequence[R]
    known: Known
    next_start: PageStart[K] | None
    """None on the last page."""


def of_page(requirement: Requirement, start: PageStart[K] | None) -> Requirement:
    """What a page demands: a later one must not be older than the first one."""
    if start is None:
        return requirement
    return replace(requirement, floor_position=start.first_position)


def next_start(
    keys: Sequence[K], start: PageStart[K] | None, known: Known, *, is_last: bool
) -> PageStart[K] | None:
    """Where the page behind that of the keys begins."""
    if is_last:
        return None
    first_position = (
        known.checkpoint.position if start is None else start.first_position
    )
    return PageStart(after=keys[-1], first_position=first_position)


def fitting(sizes: Sequence[int], page_size: int) -> int:
    """How many rows of those sizes, in bytes, fit into a page; at least one, if there is one."""
    total = 0
    for count, size in enumerate(sizes[:page_size]):
        total += size
        if count and total > PAGE_BYTES_MAX:
            return count
    return min(len(sizes), page_size)
