"""A projection in the hands of this projector: its generations, and what is to be done with
each.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from eventcore.generations import (
    Generation,
    Lease,
    Ownership,
    Role,
    building,
    served,
)
from eventcore.projection import Projection
from eventcore.projection_register import RegisterReader
from eventcore.read_store import ReadStore
from projector.follower import Follower
from projector.rebuild import Rebuild


@dataclass(slots=True, kw_only=True)
class Owned:
    """A projection, as this projector knows it. Without a lease it only looks."""

    projection: Projection
    new_follower: Callable[[Projection, Generation, frozenset[int]], Follower]
    new_rebuild: Callable[[Follower], Rebuild]
    lease: Lease | None = None
    ownership: Ownership | None = None
    generations: Sequence[Generation] = ()
    rebuild: Rebuild | None = None
    _followers: dict[int, Follower] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        return self.projection.name

    @property
    def is_paused(self) -> bool:
        """Whether an operator has it stand still."""
        return self.ownership is not None and self.ownership.pause is not None

    @property
    def served(self) -> Follower | None:
        """What answers queries of this release."""
        generation = served(self.generations, version=self.projection.version)
        return None if generation is None else self._followers.get(generation.number)

    @property
    def shown(self) -> Follower | None:
        """What tells how far the projection is: what serves, or what is being made."""
        return self.served or (self.rebuild.follower if self.rebuild else None)

    @property
    def followers(self) -> Sequence[Follower]:
        """All generations of this release's version that are applied."""
        return list(self._followers.values())

    def at_once(self, *, rebuilding: bool) -> Sequence[Follower]:
        """Those that get each batch as soon as it is there, what serves first.

        Args:
            rebuilding: Whether a rebuild is among them also before it goes beside what serves.
        """
        made = self.rebuild
        rebuilding = rebuilding or (made is not None and made.is_beside)
        followers = [
            each
            for each in self._followers.values()
            if rebuilding or each.role is not Role.BUILDING
        ]
        return sorted(followers, key=lambda each: each is not self.served)

    def load(self, register: RegisterReader) -> None:
        """Takes over what the store has: who owns it, its generations, what is skipped, what
        operators have said.
        """
        self.ownership = register.ownership(self.name)
        generations = register.generations(self.name)
        kept: dict[int, Follower] = {}
        for generation in generations:
            if (
                generation.version != self.projection.version
                or generation.role is Role.DROPPING
            ):
                continue
            skips = register.skips(self.name, generation.number)
            skipped = frozenset(skip.position for skip in skips)
            follower = self._followers.get(generation.number)
            if follower is None:
                follower = self.new_follower(self.projection, generation, skipped)
            else:
                follower.reloaded(generation, skipped)
            kept[generation.number] = follower
        self._followers = kept
        self.generations = generations
        self._load_rebuild()

    def forget(self) -> None:
        """Gives up what it knows of how far its generations are: another one has moved them."""
        self.lease = None
        self._followers = {}
        self.rebuild = None

    def _load_rebuild(self) -> None:
        made = building(self.generations, version=self.projection.version)
        if made is None:
            self.rebuild = None
            return
        follower = self._followers[made.number]
        if self.rebuild is None or self.rebuild.follower is not follower:
            self.rebuild = self.new_rebuild(follower)


def load_all(read_store: ReadStore, projections: Iterable[Owned]) -> None:
    """Takes over what is in the store. To be called after a commit, never before: it may fail."""
    with read_store.begin() as unit:
        for owned in projections:
            owned.load(unit.register)
