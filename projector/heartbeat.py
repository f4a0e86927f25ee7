"""Signs of life: leases are kept, or taken where nobody has them, and freshness is written down."""

from collections.abc import Callable, Sequence

from eventcore.generations import Lease, Progress
from eventcore.messages import Instant
from eventcore.read_store import ReadStore, ReadUnit
from projector.follower import Follower
from projector.owned import Owned, load_all
from projector.upkeep import Upkeep

LEASE_SECONDS = 15.0
"""How long a projector keeps its projections without a sign of life."""

_LEASE = round(LEASE_SECONDS * 1_000_000)


class Heartbeat:
    """Gives them, for all projections at once."""

    def __init__(
        self,
        *,
        read_store: ReadStore,
        owned: Sequence[Owned],
        upkeep: Upkeep,
        clock: Callable[[], Instant],
        owner: str,
        seize: bool,
    ) -> None:
        self._read_store = read_store
        self._owned = owned
        self._upkeep = upkeep
        self._clock = clock
        self._owner = owner
        self._seize = seize

    def beat(self) -> bool:
        """Shows that it lives and how fresh the read models are, sees what others have done, and
        takes projections that nobody has.

        Returns:
            Whether it has taken one.

        Raises:
            LeaseLost, CheckpointMoved: one is in other hands; nothing was written.
        """
        now = self._clock()
        taken: list[tuple[Owned, Lease]] = []
        reported: list[tuple[Follower, Progress]] = []
        with self._read_store.begin() as unit:
            for owned in self._owned:
                if owned.lease is not None:
                    reported += self._renew(unit, owned, owned.lease, now)
                elif (lease := self._acquire(unit, owned, now)) is not None:
                    taken.append((owned, lease))
            unit.commit()
        for follower, progress in reported:
            follower.progress = progress
        for owned, lease in taken:
            owned.forget()
            owned.lease = lease
        load_all(self._read_store, self._owned)
        return bool(taken)

    def _acquire(self, unit: ReadUnit, owned: Owned, now: Instant) -> Lease | None:
        return unit.register.acquire(
            owned.name,
            owner=self._owner,
            now=now,
            expire_time=now + _LEASE,
            seize=self._seize,
        )

    def _renew(
        self, unit: ReadUnit, owned: Owned, lease: Lease, now: Instant
    ) -> list[tuple[Follower, Progress]]:
        """Writes down that it lives and how fresh its generations are; the progress of those that
        there was news of.
        """
        reported: list[tuple[Follower, Progress]] = []
        unit.register.renew(lease, now=now, expire_time=now + _LEASE)
        for follower in owned.followers:
            generation = unit.generation(lease, follower.number)
            if follower.is_fresher_than_written:
                generation.advance(
                    follower.checkpoint, expected_position=follower.position
                )
            progress = self._progress(owned, follower)
            if progress != follower.progress:
                generation.report(progress)
                reported.append((follower, progress))
        self._upkeep.retire(unit.register, owned)
        return reported

    def _progress(self, owned: Owned, follower: Follower) -> Progress:
        rate = round(follower.rate.tick(), 1)
        rebuild = owned.rebuild
        if rebuild is not None and rebuild.follower is follower:
            return rebuild.progress(rate)
        return Progress(events_per_second=rate)
