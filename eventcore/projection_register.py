"""The port of the register: which generations a read model has, who owns it, and what operators
have said of it.
"""

from collections.abc import Sequence
from typing import Protocol

from eventcore.generations import Generation, Lease, Ownership, Role, Skip
from eventcore.messages import Instant
from eventcore.operators import Pause
from eventcore.projection import Projection


class RegisterReader(Protocol):
    """Reads the register, as of one moment. Blocking."""

    def ownership(self, projection: str) -> Ownership | None:
        """Who has a projection; None if the store has never heard of it."""

    def generations(self, projection: str) -> list[Generation]:
        """The generations of a projection, oldest first; those that are dropped are gone."""

    def skips(self, projection: str, generation: int) -> list[Skip]:
        """The events that were left out of a generation, by position."""


class ProjectionRegister(RegisterReader, Protocol):
    """Changes the register, inside a unit of work.

    What an owner does is done under its lease (`ReadUnit.held`); the rest is what operators do,
    from whichever projector they speak to, and is obeyed by the owner. Of a projection or a
    generation that is not there nothing is changed.
    """

    def acquire(
        self,
        projection: str,
        *,
        owner: str,
        now: Instant,
        expire_time: Instant,
        seize: bool = False,
    ) -> Lease | None:
        """Takes a projection that nobody has: the store has never heard of it, it was released, or
        its owner has let its lease expire. It begins a new epoch, with which that of anybody before
        is over.

        Args:
            projection: Which.
            owner: Who takes it.
            now: The time.
            expire_time: Until when, unless it is renewed.
            seize: Whether to take it from an owner that is known to be dead, as who owns the file
                of a store knows it.

        Returns:
            The lease; None if another one has it.
        """

    def renew(self, lease: Lease, *, now: Instant, expire_time: Instant) -> None:
        """Shows that the owner lives, and puts off the end of its lease.

        Raises:
            LeaseLost: another one has the projection, or it was released.
        """

    def release(self, lease: Lease) -> None:
        """Gives a projection up, so that another one can have it at once. A lease that is lost is
        nothing to give up.
        """

    def set_pause(self, projection: str, pause: Pause | None) -> None:
        """Has a projection stand still, or go on."""

    def add_generation(
        self,
        projection: Projection,
        *,
        role: Role,
        now: Instant,
        reason: str,
    ) -> Generation:
        """Makes a new generation with empty tables, of a projection that somebody has had."""

    def rebuild_with(self, projection: str, generation: int) -> None:
        """Has a generation that was replaced take over again as a rebuild does, once it has caught
        up.
        """

    def switch(
        self, projection: str, to: int, *, now: Instant, comparison: str = ""
    ) -> None:
        """Has another generation serve. The one that served is REPLACED; those of the same version
        that had been replaced before are dropped.

        Args:
            projection: Which.
            to: A generation that is BUILDING or REPLACED.
            now: The time.
            comparison: What it has shown; kept with the new one unless it is empty.

        Raises:
            GenerationBehind: it is not as far as one of its version that queries were answered
                from. After it, the unit of work can only be left without a commit.
        """

    def drop(self, projection: str, generation: int) -> None:
        """Gives a generation up: nobody reads or writes it any more."""

    def go_on(self, projection: str, generation: int) -> None:
        """Has a generation that has failed try again."""

    def skip(self, projection: str, generation: int, skip: Skip) -> None:
        """Leaves an event out of a generation."""

    def empty_dropped(self, *, rows_max: int) -> int:
        """Removes rows of generations that were given up, and their tables once they are empty.

        Args:
            rows_max: At most so many, so that nobody waits long for it.

        Returns:
            How many rows or tables were removed; 0 if there is nothing left to remove.
        """

    def dropped(self) -> Sequence[tuple[str, int]]:
        """The generations that are still to be emptied, by projection and number."""
