"""A store beside, in which generations are folded again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from eventcore.errors import StartFailed
from eventcore.generations import Generation, Lease, Role, Skip
from eventcore.messages import EventEnvelope
from eventcore.projection import Projection
from eventcore.read_store import ModelReader, ReadStore, ReadStoreReader


@dataclass(slots=True, kw_only=True)
class Fold:
    """A generation, and its fold in the making."""

    projection: Projection
    generation: Generation
    """The one that is verified."""
    skips: Sequence[Skip]
    number: int
    """Of the fold, in the store beside."""
    position: int = 0
    broken: str = ""
    """Why it cannot be made any further."""

    @property
    def target_position(self) -> int:
        """Where the generation was when the fold began."""
        return self.generation.checkpoint.position


class Scratch:
    """Makes folds in an empty store."""

    def __init__(
        self,
        store: ReadStore,
        reader: ReadStoreReader,
        *,
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Takes an empty store.

        Args:
            store: For its owner.
            reader: Of the same store.
            writing: Around all that is written; turns `StoreUnavailable` into `StartFailed`, with
                where the store is and what to do.
        """
        self._writing = writing
        self._store = store
        self._reader = reader
        self._leases: dict[str, Lease] = {}

    def begin(
        self,
        projection: Projection,
        generation: Generation | None = None,
        skips: Sequence[Skip] = (),
    ) -> Fold:
        """Begins the fold of a generation; without one, of whatever will be applied.

        Raises:
            StartFailed: there is no room for it.
        """
        name = projection.name
        with self._writing(), self._store.begin() as unit:
            if name not in self._leases:
                lease = unit.register.acquire(
                    name, owner="verify", now=0, expire_time=0
                )
                assert lease is not None, "nobody has it"
                self._leases[name] = lease
            made = unit.register.add_generation(
                projection, role=Role.BUILDING, now=0, reason="to verify"
            )
            unit.commit()
        return Fold(
            projection=projection,
            generation=generation or made,
            skips=skips,
            number=made.number,
        )

    def apply(self, fold: Fold, events: Sequence[EventEnvelope]) -> None:
        """Applies what follows in the log, but for what was skipped.

        Raises:
            StartFailed: there is no room for it, which tells nothing of the events.
        """
        if not events or fold.broken:
            return
        skipped = {skip.position for skip in fold.skips}
        wanted = [event for event in events if event.position not in skipped]
        try:
            with self._writing(), self._store.begin() as unit:
                lease = self._leases[fold.projection.name]
                tables = unit.generation(lease, fold.number).tables
                fold.projection.apply(wanted, tables)
                unit.commit()
        except StartFailed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was to be found.
            if len(events) > 1:
                half = len(events) // 2
                self.apply(fold, events[:half])
                self.apply(fold, events[half:])
                return
            text = str(error) or type(error).__name__
            fold.broken = f"at position {events[0].position}: {text}"
            return
        fold.position = events[-1].position

    @contextmanager
    def reading(self, fold: Fold) -> Iterator[ModelReader]:
        """The tables of a fold."""
        with self._reader.snapshot() as snapshot:
            yield snapshot.generation(fold.number)
