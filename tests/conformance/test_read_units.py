"""What every read store guarantees of its unit of work: all of it or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from eventcore.errors import CheckpointMoved
from eventcore.generations import (
    Failure,
    Generation,
    Ownership,
    Progress,
    Role,
    Skip,
)
from eventcore.model_tables import Key, Row
from eventcore.operators import Pause
from eventcore.read_store import GenerationUnit, ReadStore, ReadUnit
from tests.conformance.conftest import ReadBackend
from tests.conformance.read_models import (
    NOW,
    OTHERS,
    THINGS,
    a_checkpoint,
    a_pair,
    a_thing,
    made,
    notes,
    pairs,
    roles,
    sizes,
    taken,
    things,
    write,
)

FAILURE = Failure(position=8, event_id="e", event_type="T", message="no", time=3)
SKIP = Skip(position=8, event_id="e", event_type="T", reason="lost", time=4)


def held(unit: ReadUnit) -> GenerationUnit:
    lease = unit.register.acquire(
        "things", owner="this", now=NOW, expire_time=NOW, seize=True
    )
    assert lease is not None
    return unit.generation(lease, 1)


STEPS: tuple[Callable[[ReadUnit], object], ...] = (
    lambda unit: held(unit).tables.write(things, [a_thing("a", 2), a_thing("b", 2)]),
    lambda unit: held(unit).tables.write(pairs, [a_pair("x", 2)]),
    lambda unit: held(unit).tables.delete(pairs, [("x", 1)]),
    lambda unit: held(unit).advance(a_checkpoint(2), expected_position=1),
    lambda unit: held(unit).report(Progress(events_per_second=5.0)),
    lambda unit: held(unit).fail(FAILURE),
    lambda unit: unit.register.skip("things", 1, SKIP),
    lambda unit: unit.register.set_pause("things", Pause(reason="a look", time=1)),
    lambda unit: unit.register.add_generation(
        THINGS, role=Role.BUILDING, now=NOW, reason="asked"
    ),
    lambda unit: unit.register.drop("things", 1),
    lambda unit: unit.register.empty_dropped(rows_max=100),
)


@pytest.fixture
def store(read_store: ReadStore) -> ReadStore:
    """One that holds something already."""
    lease, number = taken(read_store), made(read_store)
    write(read_store, lease, number, "a", position=1)
    with read_store.begin() as unit:
        unit.generation(lease, number).tables.write(pairs, [a_pair("x", 1)])
        unit.commit()
    return read_store


def run_steps(unit: ReadUnit, count: int) -> None:
    for step in STEPS[:count]:
        step(unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What readers see."""

    ownership: Ownership | None
    generations: Sequence[Generation]
    skips: Sequence[Skip]
    things: Mapping[Key, Row]
    pairs: set[Key]


def what_is_there(read_backend: ReadBackend) -> Seen:
    with read_backend.reader.snapshot() as snapshot:
        register, found = snapshot.register, snapshot.generation(1)
        return Seen(
            ownership=register.ownership("things"),
            generations=register.generations("things"),
            skips=register.skips("things", 1),
            things=found.fetch(things, [("a",), ("b",)]),
            pairs=set(found.fetch(pairs, [("x", 1), ("x", 2)])),
        )


def test_a_commit_shows_everything_at_once(
    store: ReadStore, read_backend: ReadBackend
) -> None:
    before = what_is_there(read_backend)
    with store.begin() as unit:
        run_steps(unit, 8)
        assert what_is_there(read_backend) == before
        unit.commit()
    after = what_is_there(read_backend)
    (generation,) = after.generations
    assert after.ownership is not None
    assert after.ownership.pause == Pause(reason="a look", time=1)
    assert generation.checkpoint == a_checkpoint(2)
    assert generation.progress == Progress(events_per_second=5.0)
    assert generation.failure == FAILURE
    assert after.skips == [SKIP]
    assert after.things == {("a",): a_thing("a", 2), ("b",): a_thing("b", 2)}
    assert after.pairs == {("x", 2)}


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_leaving_without_a_commit_leaves_nothing(
    store: ReadStore, read_backend: ReadBackend, count: int
) -> None:
    before = what_is_there(read_backend)
    with store.begin() as unit:
        run_steps(unit, count)
    assert what_is_there(read_backend) == before


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_a_failure_between_any_two_calls_leaves_nothing(
    store: ReadStore, read_backend: ReadBackend, count: int
) -> None:
    def cut_off() -> None:
        with store.begin() as unit:
            run_steps(unit, count)
            raise RuntimeError("power cut")

    before = what_is_there(read_backend)
    with pytest.raises(RuntimeError, match="power cut"):
        cut_off()
    assert what_is_there(read_backend) == before


def test_what_comes_after_a_commit_is_left_behind(
    store: ReadStore, read_backend: ReadBackend
) -> None:
    with store.begin() as unit:
        generation = held(unit)
        generation.tables.write(things, [a_thing("b")])
        unit.commit()
        after = what_is_there(read_backend)
        generation.tables.write(things, [a_thing("b", 9), a_thing("c")])
        generation.advance(a_checkpoint(3), expected_position=1)
        unit.register.set_pause("things", Pause(reason="late", time=1))
        held(unit).tables.delete(things, [("a",)])
    assert what_is_there(read_backend) == after


def test_a_unit_works_after_one_that_lost(
    store: ReadStore, read_backend: ReadBackend
) -> None:
    def lose() -> None:
        with store.begin() as unit:
            run_steps(unit, 3)
            held(unit).advance(a_checkpoint(9), expected_position=8)

    before = what_is_there(read_backend)
    with pytest.raises(CheckpointMoved):
        lose()
    assert what_is_there(read_backend) == before
    with store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert roles(store) == {2: Role.BUILDING}


def test_a_unit_sees_what_it_has_done(store: ReadStore) -> None:
    with store.begin() as unit:
        run_steps(unit, 8)
        found = held(unit).tables
        assert sizes(found, "a", "b") == {"a": 2, "b": 2}
        assert set(found.fetch(pairs, [("x", 1), ("x", 2)])) == {("x", 2)}
        (generation,) = unit.register.generations("things")
        assert generation.checkpoint == a_checkpoint(2)
        assert generation.failure == FAILURE


def test_projections_change_together(
    store: ReadStore, read_backend: ReadBackend
) -> None:
    other, number = taken(store, OTHERS), made(store, OTHERS)
    with store.begin() as unit:
        held(unit).tables.write(things, [a_thing("b")])
        unit.generation(other, number).tables.write(notes, [{"text": "b"}])
        unit.commit()
    with read_backend.reader.snapshot() as snapshot:
        assert sizes(snapshot.generation(1), "b") == {"b": 1}
        assert set(snapshot.generation(number).fetch(notes, [("b",)])) == {("b",)}


def test_what_was_committed_is_there_after_a_restart(
    store: ReadStore, read_backend: ReadBackend
) -> None:
    with store.begin(durable=True) as unit:
        run_steps(unit, 9)
        unit.commit()
    before = what_is_there(read_backend)
    read_backend.restart()
    assert what_is_there(read_backend) == before


@pytest.mark.parametrize("durable", [False, True])
def test_units_follow_each_other_durable_or_not(
    store: ReadStore,
    durable: bool,  # noqa: FBT001
) -> None:
    for position in (1, 2, 3):
        with store.begin(durable=durable) as unit:
            moved = replace(a_checkpoint(position + 1), event_id="")
            held(unit).advance(moved, expected_position=position)
            unit.commit()
        with store.begin() as unit:
            (generation,) = unit.register.generations("things")
            assert generation.checkpoint == moved
