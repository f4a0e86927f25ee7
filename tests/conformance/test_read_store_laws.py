"""The read store in memory and the one in a file are the same store, whatever is done to them."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.errors import CheckpointMoved, GenerationBehind, LeaseLost
from eventcore.generations import Failure, Lease, Progress, Role, Skip
from eventcore.memory.read_store import MemoryReadStore
from eventcore.operators import Pause
from eventcore.read_store import ReadStore, ReadStoreReader, ReadUnit
from eventcore.sql.read_store import SqlReadStore, SqlReadStoreReader
from eventcore.sql.sqlite import owner_engine, reader_engine
from tests.conformance.read_models import THINGS, a_checkpoint, a_thing, taken, things

NUMBERS_MAX = 3
NAMES = tuple("abc")
KEYS = [(name,) for name in NAMES]

Step: TypeAlias = Callable[[ReadUnit, list[Lease]], object]
"""It is given the leases that there have been, the newest last; what it answers is compared."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work: what it does, and whether it commits."""

    steps: list[Step]
    commits: bool


@dataclass(slots=True)
class Backend:
    """A store, and the leases that there have been of it."""

    store: ReadStore
    reader: ReadStoreReader
    leases: list[Lease] = field(default_factory=list)


def acquire(owner: str, now: int, seize: bool) -> Step:  # noqa: FBT001
    def step(unit: ReadUnit, leases: list[Lease]) -> object:
        lease = unit.register.acquire(
            "things", owner=owner, now=now, expire_time=now + 2, seize=seize
        )
        leases.extend([lease] if lease else [])
        return lease

    return step


def renew(age: int, now: int) -> Step:
    return lambda unit, leases: unit.register.renew(
        leases[-1 - age % len(leases)], now=now, expire_time=now + 2
    )


def release(age: int) -> Step:
    return lambda unit, leases: unit.register.release(leases[-1 - age % len(leases)])


def pause(time: int) -> Step:
    order = Pause(reason="a look", time=time) if time else None
    return lambda unit, _: unit.register.set_pause("things", order)


def add(role: Role, version: int) -> Step:
    projection = replace(THINGS, version=version)

    def step(unit: ReadUnit, _: list[Lease]) -> object:
        present = unit.register.generations("things")
        if role is Role.SERVING and any(each.role is role for each in present):
            return None
        return unit.register.add_generation(
            projection, role=role, now=1, reason="asked"
        )

    return step


def write(number: int, names: list[str], removed: list[str], size: int) -> Step:
    def step(unit: ReadUnit, leases: list[Lease]) -> object:
        generation = unit.generation(leases[-1], number)
        present = unit.register.generations("things")
        if (number, False) not in {
            (each.number, each.role is Role.DROPPING) for each in present
        }:
            return None
        tables = generation.tables
        tables.write(things, [a_thing(name, size) for name in names])
        tables.delete(things, [(name,) for name in removed])
        return tables.fetch(things, KEYS)

    return step


def advance(number: int, before: int, after: int) -> Step:
    return lambda unit, leases: unit.generation(leases[-1], number).advance(
        a_checkpoint(after), expected_position=before
    )


def tell(number: int, position: int) -> Step:
    def step(unit: ReadUnit, leases: list[Lease]) -> None:
        generation = unit.generation(leases[-1], number)
        generation.report(Progress(events_per_second=float(position)))
        generation.fail(Failure(position=position, message="no", time=1))

    return step


def switch(to: int, now: int, comparison: str) -> Step:
    return lambda unit, _: unit.register.switch(
        "things", to, now=now, comparison=comparison
    )


def change(method: str, number: int) -> Step:
    return lambda unit, _: getattr(unit.register, method)("things", number)


def skip(number: int, position: int) -> Step:
    left_out = Skip(position=position, event_id="", event_type="", reason="x", time=1)

    def step(unit: ReadUnit, _: list[Lease]) -> None:
        if left_out not in unit.register.skips("things", number):
            unit.register.skip("things", number, left_out)

    return step


def empty(rows_max: int) -> Step:
    return lambda unit, _: unit.register.empty_dropped(rows_max=rows_max)


number = st.integers(1, NUMBERS_MAX)
small = st.integers(0, 3)
names = st.lists(st.sampled_from(NAMES), max_size=3)
steps = st.one_of(
    st.builds(acquire, st.sampled_from(["this", "other"]), small, st.booleans()),
    st.builds(renew, small, small),
    st.builds(release, small),
    st.builds(pause, small),
    st.builds(add, st.sampled_from([Role.SERVING, Role.BUILDING]), st.integers(1, 2)),
    st.builds(write, number, names, names, small),
    st.builds(advance, number, small, small),
    st.builds(tell, number, small),
    st.builds(switch, number, small, st.sampled_from(["", "the same"])),
    st.builds(
        change, st.sampled_from(["drop", "go_on", "rebuild_with", "drop"]), number
    ),
    st.builds(skip, number, small),
    st.builds(empty, st.integers(1, 4)),
)
units = st.builds(Unit, st.lists(steps, max_size=6), st.booleans())


def run(backend: Backend, unit: Unit) -> list[object]:
    """What each step answers, up to one that fails: then the unit is left."""
    answers: list[object] = []
    with backend.store.begin() as opened:
        for step in unit.steps:
            try:
                answers.append(step(opened, backend.leases))
            except (LeaseLost, CheckpointMoved, GenerationBehind) as error:
                return [*answers, error.message]
            except ValueError as error:
                return [*answers, str(error)]
        if unit.commits:
            opened.commit()
    return answers


def contents(reader: ReadStoreReader) -> list[object]:
    with reader.snapshot() as snapshot:
        register = snapshot.register
        found: list[object] = [register.ownership("things")]
        for generation in register.generations("things"):
            skips = register.skips("things", generation.number)
            found += [generation, skips]
            if generation.role is not Role.DROPPING:
                reader_of_it = snapshot.generation(generation.number)
                rows = reader_of_it.scan(things)
                found += [sorted(row for some in rows for row in some)]
                found += [reader_of_it.fetch(things, KEYS)]
        return found


@settings(max_examples=60, deadline=None)
@given(st.lists(units, max_size=8))
def test_the_read_stores_never_differ(history: list[Unit]) -> None:
    memory = MemoryReadStore()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "read.db"
        with (
            closing(SqlReadStore(owner_engine(path, durable=False))) as store,
            closing(SqlReadStoreReader(reader_engine(path))) as reader,
        ):
            backends = [Backend(memory, memory), Backend(store, reader)]
            for backend in backends:
                backend.leases.append(taken(backend.store))
            for unit in history:
                in_memory, in_a_file = (run(backend, unit) for backend in backends)
                assert in_memory == in_a_file
                assert contents(memory) == contents(reader)
