"""The register of read models in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eventcore.errors import LeaseLost
from eventcore.generations import (
    Generation,
    Lease,
    Ownership,
    Role,
    Skip,
    switched,
)
from eventcore.messages import Instant
from eventcore.operators import Pause
from eventcore.projection import Projection


@dataclass(slots=True)
class RegisterState:
    """What the register holds: values that are replaced and never changed."""

    ownerships: dict[str, Ownership] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    """The number that was given last, by projection."""
    generations: dict[tuple[str, int], Generation] = field(default_factory=dict)
    tables: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """The names of a generation's tables."""
    skips: dict[tuple[str, int], list[Skip]] = field(default_factory=dict)

    def copy(self) -> "RegisterState":
        """A state that can go its own way."""
        return RegisterState(
            dict(self.ownerships),
            dict(self.newest),
            dict(self.generations),
            dict(self.tables),
            {place: list(skips) for place, skips in self.skips.items()},
        )


class MemoryRegister:
    """Reads and changes a state that is its own."""

    def __init__(
        self, state: RegisterState, tables: dict[tuple[str, int], dict[Any, Any]]
    ) -> None:
        self.state = state
        self._tables = tables

    def ownership(self, projection: str) -> Ownership | None:
        return self.state.ownerships.get(projection)

    def generations(self, projection: str) -> list[Generation]:
        return [
            generation
            for (name, _), generation in sorted(self.state.generations.items())
            if name == projection
        ]

    def skips(self, projection: str, generation: int) -> list[Skip]:
        found = self.state.skips.get((projection, generation), [])
        return sorted(found, key=lambda skip: skip.position)

    def acquire(
        self,
        projection: str,
        *,
        owner: str,
        now: Instant,
        expire_time: Instant,
        seize: bool = False,
    ) -> Lease | None:
        before = self.ownership(projection)
        if before and before.owner and before.lease_expire_time > now and not seize:
            return None
        epoch = 1 if before is None else before.epoch + 1
        self.state.ownerships[projection] = Ownership(
            projection=projection,
            owner=owner,
            epoch=epoch,
            lease_expire_time=expire_time,
            heartbeat_time=now,
            pause=None if before is None else before.pause,
        )
        return Lease(projection=projection, owner=owner, epoch=epoch)

    def renew(self, lease: Lease, *, now: Instant, expire_time: Instant) -> None:
        present = self._held(lease)
        self.state.ownerships[lease.projection] = replace(
            present, heartbeat_time=now, lease_expire_time=expire_time
        )

    def release(self, lease: Lease) -> None:
        try:
            present = self._held(lease)
        except LeaseLost:
            return
        self.state.ownerships[lease.projection] = replace(
            present, owner="", lease_expire_time=0
        )

    def set_pause(self, projection: str, pause: Pause | None) -> None:
        present = self.ownership(projection)
        if present is not None:
            self.state.ownerships[projection] = replace(present, pause=pause)

    def add_generation(
        self, projection: Projection, *, role: Role, now: Instant, reason: str
    ) -> Generation:
        number = self.state.newest.get(projection.name, 0) + 1
        self.state.newest[projection.name] = number
        generation = Generation(
            projection=projection.name,
            number=number,
            version=projection.version,
            role=role,
            made_time=now,
            made_reason=reason,
        )
        self.put(generation)
        names = [table.name for table in projection.tables]
        self.state.tables[projection.name, number] = names
        return generation

    def rebuild_with(self, projection: str, generation: int) -> None:
        self.change(projection, generation, role=Role.BUILDING, replaced_time=0)

    def switch(
        self, projection: str, to: int, *, now: Instant, comparison: str = ""
    ) -> None:
        before = self.generations(projection)
        for generation in switched(before, to, now=now, comparison=comparison):
            self.put(generation)

    def drop(self, projection: str, generation: int) -> None:
        self.change(projection, generation, role=Role.DROPPING)

    def go_on(self, projection: str, generation: int) -> None:
        self.change(projection, generation, failure=None)

    def skip(self, projection: str, generation: int, skip: Skip) -> None:
        self.state.skips.setdefault((projection, generation), []).append(skip)

    def empty_dropped(self, *, rows_max: int) -> int:
        removed = 0
        for projection, number in self.dropped():
            names = self.state.tables.get((projection, number), [])
            while names:
                table = (names[0], number)
                rows = dict(self._tables.get(table, {}))
                for key in list(rows)[: rows_max - removed]:
                    del rows[key]
                    removed += 1
                self._tables[table] = rows
                if removed >= rows_max:
                    return removed
                del self._tables[table]
                names = names[1:]
                self.state.tables[projection, number] = names
                removed += 1
            del self.state.generations[projection, number]
            self.state.skips.pop((projection, number), None)
        return removed

    def dropped(self) -> Sequence[tuple[str, int]]:
        return [
            place
            for place, generation in sorted(self.state.generations.items())
            if generation.role is Role.DROPPING
        ]

    def put(self, generation: Generation) -> None:
        """Keeps a generation as it is now."""
        self.state.generations[generation.projection, generation.number] = generation

    def change(self, projection: str, generation: int, **values: Any) -> None:
        """Changes a generation; one that is not there is left so."""
        present = self.state.generations.get((projection, generation))
        if present is not None:
            self.put(replace(present, **values))

    def _held(self, lease: Lease) -> Ownership:
        present = self.ownership(lease.projection)
        if present is None or (present.owner, present.epoch) != (
            lease.owner,
            lease.epoch,
        ):
            raise LeaseLost(lease.projection, epoch=lease.epoch)
        return present
