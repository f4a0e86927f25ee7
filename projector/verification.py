"""Whether the stores hold what they should: the whole log is read, folded again, and compared with
every read model.

The fold is made beside, in a store of its own, by the code that rebuilds use as well; so a new read
model is verified as soon as it is there. A moment of the read store is kept open only while whole
tables are compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from eventcore.errors import CorruptLog, StoreUnavailable
from eventcore.generations import Generation, Role, Skip, building, previous, served
from eventcore.messages import EventEnvelope, LogHead
from eventcore.projection import Projection
from eventcore.projection_register import RegisterReader
from eventcore.read_store import ReadStoreReader, ReadStoreSnapshot
from eventcore.write_store import WriteSnapshot, WriteStoreReader
from projector.log_check import LogCheck
from projector.scratch import Fold, Scratch
from projector.table_comparison import compare_tables

EVENTS_PER_BATCH = 2000

FINDINGS_SHOWN_MAX = 20
"""Findings of one kind that are named; of more, how many there are."""

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is done, and how much of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A generation that was compared."""

    projection: str
    generation: int
    version: int
    role: str
    position: int
    rows: int
    skips: Sequence[Skip]
    """What operators had left out of it, and so out of the fold that it was compared with."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found."""

    store_id: str = ""
    events: int = 0
    findings: list[str] = field(default_factory=list)
    """What is not as it should be, a line each; of many of a kind the first."""
    findings_total: int = 0
    verified: list[Verified] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    """What queries are, or should be, answered from and was not verified, and why; and what has
    stopped."""
    notes: list[str] = field(default_factory=list)
    """What else an operator may want to know."""

    @property
    def sound(self) -> bool:
        """Whether all is as it should be. What operators had left out does not change that."""
        return not self.findings and not self.unsettled

    def add(self, subject: str, findings: Sequence[str]) -> None:
        """Takes findings of one kind."""
        self.findings_total += len(findings)
        shown = findings[:FINDINGS_SHOWN_MAX]
        self.findings.extend(f"{subject}: {finding}" for finding in shown)
        if len(findings) > len(shown):
            self.findings.append(f"{subject}: {len(findings) - len(shown):,} more")


class Verification:
    """Verifies a write store and the read store that was made from it. Blocking."""

    def __init__(
        self,
        *,
        projections: Sequence[Projection],
        decoders: Mapping[str, Callable[[EventEnvelope], object]],
        write_store: WriteStoreReader,
        read_store: ReadStoreReader,
        scratch: Scratch,
        on_progress: OnProgress,
    ) -> None:
        """Prepares to verify.

        Args:
            projections: All that this release has.
            decoders: What reads the events of each category, or raises.
            write_store: The log.
            read_store: The read models.
            scratch: Where the fold is made.
            on_progress: Told of each step.
        """
        self._projections = projections
        self._write_store = write_store
        self._read_store = read_store
        self._scratch = scratch
        self._on_progress = on_progress
        self._log_check = LogCheck(decoders)
        self._report = Report()

    def run(self) -> Report:
        """Verifies everything.

        Raises:
            StoreUnavailable: the write store does not answer, or is not made.
            StartFailed: there is no room for the fold.
        """
        with self._write_store.snapshot() as snapshot:
            head = snapshot.events.head()
            self._check_end(head.position, snapshot)
        self._report.store_id, self._report.events = head.store_id, head.position
        folds = self._begin()
        check = self._scratch.begin(self._log_check.projection)
        self._read_log(head, check, folds)
        self._report.add("the log", self._log_check.findings)
        if check.broken:
            self._report.add(
                "the log", [f"it cannot be checked any further: {check.broken}"]
            )
        if folds:
            self._compare(head, folds)
        return self._report

    def _check_end(self, head_position: int, snapshot: WriteSnapshot) -> None:
        """Nothing may stand beyond the head. The log itself is read only up to there."""
        try:
            snapshot.events.read_log(after_position=head_position, limit=1)
        except CorruptLog as error:
            self._report.add("the log", [error.message])
        lowest = snapshot.outbox.lowest_position()
        if lowest is None:
            return
        if lowest > head_position:
            # The reader would take it for a pruned one, and look into the log instead.
            beyond = f"position {lowest} is beyond the end of the log, {head_position}"
            self._report.add("the outbox", [f"{beyond}, and stands in the outbox"])
            return
        try:
            snapshot.outbox.read(after_position=head_position, limit=1)
        except CorruptLog as error:
            self._report.add("the outbox", [error.message])

    def _begin(self) -> list[Fold]:
        """Begins the fold of each generation that queries are, or may be, answered from."""
        try:
            with self._read_store.snapshot() as snapshot:
                register = snapshot.register
                found = [
                    (each, generation, register.skips(each.name, generation.number))
                    for each in self._projections
                    for generation in self._to_verify(each, register)
                ]
        except StoreUnavailable as error:
            self._report.unsettled.append(
                f"the read models are not verified: {error.message}"
            )
            return []
        return [
            self._scratch.begin(projection, generation, skips)
            for projection, generation, skips in found
        ]

    def _to_verify(
        self, projection: Projection, register: RegisterReader
    ) -> Iterator[Generation]:
        name, version = projection.name, projection.version
        generations = register.generations(name)
        answering = served(generations, version=version)
        if answering is None:
            self._report.unsettled.append(
                f"{name} is not verified: nothing of version {version} serves"
            )
        yield from {
            each.number: each
            for each in (answering, previous(generations, version=version))
            if each is not None
        }.values()
        made = building(generations, version=version)
        if made is not None:
            self._report.notes.append(
                f"{name}, generation {made.number}, is being made, and is not verified"
            )
            self._check_going(made)

    def _check_going(self, generation: Generation) -> None:
        if generation.failure is not None:
            self._report.unsettled.append(
                f"{generation.projection}, generation {generation.number}, has stopped "
                f"at position {generation.failure.position}: {generation.failure.message}"
            )

    def _read_log(self, head: LogHead, check: Fold, folds: Sequence[Fold]) -> None:
        for events, hole in self._log(head.position):
            self._scratch.apply(check, events)
            for fold in folds:
                within = [e for e in events if e.position <= fold.target_position]
                self._scratch.apply(fold, within)
                if hole and hole <= fold.target_position:
                    fold.broken = fold.broken or f"the log is damaged at {hole}"
            position = events[-1].position if events else hole or 0
            self._on_progress("reading and folding the log", position, head.position)

    def _log(self, head_position: int) -> Iterator[tuple[Sequence[EventEnvelope], int]]:
        """The whole log, in batches; and the position that is missing behind a batch, or 0."""
        position = 0
        missing: list[str] = []
        while position < head_position:
            limit = min(EVENTS_PER_BATCH, head_position - position)
            with self._write_store.snapshot() as snapshot:
                events, hole = self._read(snapshot, position, limit)
            yield events, hole
            if hole:
                missing.append(f"position {hole} is missing")
            position = hole or events[-1].position
        self._report.add("the log", missing)

    def _read(
        self, snapshot: WriteSnapshot, after_position: int, limit: int
    ) -> tuple[Sequence[EventEnvelope], int]:
        """What follows a position, up to one that is missing."""
        try:
            batch = snapshot.outbox.read(after_position=after_position, limit=limit)
        except CorruptLog as error:
            outbox_error = error
        else:
            return batch.events, 0
        try:
            events = snapshot.events.read_log(
                after_position=after_position, limit=limit
            )
        except CorruptLog as error:
            hole = error.position
            if hole is None and limit > 1:
                # Something beyond the head was read in the place of what is missing.
                return self._read(snapshot, after_position, limit // 2)
            hole = hole or after_position + 1
            before = hole - 1 - after_position
            events = (
                snapshot.events.read_log(after_position=after_position, limit=before)
                if before
                else []
            )
            return events, hole
        self._report.add("the outbox", [outbox_error.message])
        return events, 0

    def _compare(self, head: LogHead, folds: Sequence[Fold]) -> None:
        with self._read_store.snapshot() as snapshot:
            for done, fold in enumerate(folds):
                self._on_progress("comparing the read models", done, len(folds))
                self._compare_one(head, fold, snapshot)
            self._check_answering(folds, snapshot.register)
        self._on_progress("comparing the read models", len(folds), len(folds))

    def _check_answering(self, folds: Sequence[Fold], register: RegisterReader) -> None:
        """What took over while the log was read has no fold to be compared with."""
        folded = {(fold.projection.name, fold.generation.number) for fold in folds}
        for each in self._projections:
            generations = register.generations(each.name)
            answering = served(generations, version=each.version)
            if answering and (each.name, answering.number) not in folded:
                self._report.unsettled.append(
                    f"{each.name}, generation {answering.number}, has taken over "
                    "meanwhile, and is not verified"
                )

    def _compare_one(
        self, head: LogHead, fold: Fold, snapshot: ReadStoreSnapshot
    ) -> None:
        name, number = fold.projection.name, fold.generation.number
        subject = f"{name}, generation {number}"
        present = next(
            (g for g in snapshot.register.generations(name) if g.number == number), None
        )
        if present is None or present.role is Role.DROPPING:
            self._report.notes.append(f"{subject}, was dropped meanwhile")
            return
        self._check_going(present)
        checkpoint = present.checkpoint
        if checkpoint.store_id not in {head.store_id, ""}:
            self._report.add(subject, [f"it is of the log {checkpoint.store_id}"])
            return
        self._fold_on(fold, checkpoint.position)
        if fold.broken:
            self._report.add(subject, [f"it cannot be folded: {fold.broken}"])
            return
        if fold.position != checkpoint.position:
            behind = f"{checkpoint.position}, and the log gives {fold.position}"
            self._report.add(subject, [f"it is at position {behind}"])
            return
        with self._scratch.reading(fold) as expected:
            differences = compare_tables(
                fold.projection, actual=snapshot.generation(number), expected=expected
            )
        self._report.add(subject, differences.findings)
        self._report.verified.append(
            Verified(
                projection=name,
                generation=number,
                version=present.version,
                role=present.role.value,
                position=checkpoint.position,
                rows=differences.rows,
                skips=fold.skips,
            )
        )

    def _fold_on(self, fold: Fold, position: int) -> None:
        """Brings a fold to where its generation has come meanwhile."""
        while fold.position < position and not fold.broken:
            limit = min(EVENTS_PER_BATCH, position - fold.position)
            with self._write_store.snapshot() as snapshot:
                try:
                    events = snapshot.events.read_log(
                        after_position=fold.position, limit=limit
                    )
                except CorruptLog as error:
                    fold.broken = error.message
                    return
            self._scratch.apply(fold, events)
