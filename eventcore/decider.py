"""What a domain is: three pure functions and its refusals. All that a domain imports from here.

The shape is Jérémie Chassaing's decider: a state to begin with, a fold, and a decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from eventcore.errors import Refusal
from eventcore.messages import Kind

__all__ = ["Decider", "Kind", "Refusal"]

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider(Generic[C, S, E]):
    """An aggregate as three functions without I/O, clock or chance.

    `decide` returns the events that the command causes, or raises `Refusal`. Nothing to do is an
    empty list: what the command asks for was done before. That answer holds in any state and
    whatever version the caller expects; any other decision counts only if the expected version
    was met, except that the stream does not exist, or exists already (`Kind.NOT_FOUND`,
    `Kind.ALREADY_EXISTS`), which is said first.
    """

    initial_state: Callable[[], S]
    evolve: Callable[[S, E], S]
    decide: Callable[[C, S], Sequence[E]]
