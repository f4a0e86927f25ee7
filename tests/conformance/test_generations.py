"""What every read store guarantees of generations: they are made beside, take over, and go."""

from dataclasses import replace

import pytest

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved, GenerationBehind
from eventcore.generations import (
    Failure,
    Generation,
    Lease,
    Progress,
    Role,
    Skip,
    previous,
    served,
)
from eventcore.read_store import ReadStore
from tests.conformance.conftest import ReadBackend
from tests.conformance.read_models import (
    NOW,
    OTHERS,
    THINGS,
    a_checkpoint,
    generation,
    generations,
    made,
    pairs,
    roles,
    sizes,
    switch,
    taken,
    things,
    write,
)

FAILURE = Failure(position=8, event_id="e", event_type="T", message="no", time=3)
UNITS_MAX = 1000


@pytest.fixture
def lease(read_store: ReadStore) -> Lease:
    return taken(read_store)


def a_skip(position: int, reason: str = "it is lost") -> Skip:
    return Skip(
        position=position, event_id="e", event_type="T", reason=reason, time=position
    )


# Checkpoints.


def advance(
    store: ReadStore, lease: Lease, checkpoint: Checkpoint, expected: int
) -> None:
    with store.begin() as unit:
        unit.generation(lease, 1).advance(checkpoint, expected_position=expected)
        unit.commit()


def test_a_checkpoint_moves_from_where_it_is(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    assert generation(read_store, 1).checkpoint == Checkpoint()
    for before, after in ((0, 7), (7, 9)):
        advance(read_store, lease, a_checkpoint(after), before)
        assert generation(read_store, 1).checkpoint == a_checkpoint(after)


def test_a_checkpoint_may_stay_where_it_is_and_be_fresher(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    advance(read_store, lease, a_checkpoint(7), 0)
    fresher = replace(a_checkpoint(7), head_position=10, complete_time=60)
    advance(read_store, lease, fresher, 7)
    assert generation(read_store, 1).checkpoint == fresher


@pytest.mark.parametrize("expected", [0, 6, 8])
def test_a_checkpoint_does_not_move_from_elsewhere(
    read_store: ReadStore, lease: Lease, expected: int
) -> None:
    made(read_store)
    advance(read_store, lease, a_checkpoint(7), 0)
    with pytest.raises(CheckpointMoved) as caught:
        advance(read_store, lease, a_checkpoint(9), expected)
    assert (caught.value.projection, caught.value.generation) == ("things", 1)
    assert generation(read_store, 1).checkpoint == a_checkpoint(7)


def test_generations_and_projections_have_checkpoints_of_their_own(
    read_store: ReadStore, lease: Lease
) -> None:
    other = taken(read_store, OTHERS)
    made(read_store)
    made(read_store, role=Role.BUILDING)
    made(read_store, OTHERS)
    advance(read_store, lease, a_checkpoint(7), 0)
    advance(read_store, other, a_checkpoint(5), 0)
    found = [*generations(read_store), *generations(read_store, "others")]
    assert [each.checkpoint.position for each in found] == [7, 0, 5]


def test_the_checkpoint_of_what_was_given_up_does_not_move(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    with read_store.begin() as unit:
        unit.register.drop("things", 1)
        unit.commit()
    with pytest.raises(CheckpointMoved):
        advance(read_store, lease, a_checkpoint(1), 0)
    assert roles(read_store) == {1: Role.DROPPING}
    empty(read_store)
    with pytest.raises(CheckpointMoved):
        advance(read_store, lease, a_checkpoint(1), 0)
    assert roles(read_store) == {}


# How generations come to be.


def test_a_generation_is_new_in_everything(
    read_backend: ReadBackend, lease: Lease
) -> None:
    with read_backend.store.begin() as unit:
        added = unit.register.add_generation(
            replace(THINGS, version=3), role=Role.BUILDING, now=NOW, reason="asked for"
        )
        unit.commit()
    assert added == Generation(
        projection="things",
        number=1,
        version=3,
        role=Role.BUILDING,
        made_time=NOW,
        made_reason="asked for",
    )
    assert generations(read_backend.store) == [added]
    with read_backend.reader.snapshot() as snapshot:
        for table in THINGS.tables:
            assert list(snapshot.generation(1).scan(table)) == []


def test_the_oldest_generation_comes_first(read_store: ReadStore, lease: Lease) -> None:
    numbers = [made(read_store, role=Role.BUILDING) for _ in range(12)]
    assert numbers == list(range(1, 13))
    assert [each.number for each in generations(read_store)] == numbers


def test_a_number_is_never_given_twice(read_store: ReadStore, lease: Lease) -> None:
    taken(read_store, OTHERS)
    assert made(read_store) == 1
    with read_store.begin() as unit:
        unit.register.drop("things", 1)
        unit.commit()
    empty(read_store)
    assert generations(read_store) == []
    taken(read_store)
    assert made(read_store) == 2
    assert made(read_store, OTHERS) == 1


def test_a_number_of_a_unit_that_was_left_may_be_given(
    read_store: ReadStore, lease: Lease
) -> None:
    with read_store.begin() as unit:
        unit.register.add_generation(
            THINGS, role=Role.BUILDING, now=NOW, reason="left behind"
        )
    assert made(read_store) == 1
    write(read_store, lease, 1, "a")


def test_what_the_owner_notes_is_kept(read_backend: ReadBackend, lease: Lease) -> None:
    progress = Progress(
        events_per_second=12.5, seconds_left=7.25, falling_behind=True, comparing=True
    )
    made(read_backend.store)
    made(read_backend.store, role=Role.BUILDING)
    with read_backend.store.begin() as unit:
        unit.generation(lease, 2).report(progress)
        unit.generation(lease, 2).fail(FAILURE)
        unit.commit()
    read_backend.restart()
    first, second = generations(read_backend.store)
    assert (first.progress, first.failure) == (Progress(), None)
    assert (second.progress, second.failure) == (progress, FAILURE)
    with read_backend.store.begin() as unit:
        unit.register.go_on("things", 2)
        unit.commit()
    assert generation(read_backend.store, 2).failure is None
    assert generation(read_backend.store, 2).progress == progress


def test_skips_are_kept_with_their_generation_by_position(
    read_backend: ReadBackend, lease: Lease
) -> None:
    for _ in range(2):
        made(read_backend.store, role=Role.BUILDING)
    with read_backend.store.begin() as unit:
        for position in (9, 2**53, 3):
            unit.register.skip("things", 2, a_skip(position))
        unit.commit()
    read_backend.restart()
    with read_backend.reader.snapshot() as snapshot:
        found = snapshot.register.skips("things", 2)
        assert found == [a_skip(3), a_skip(9), a_skip(2**53)]
        assert snapshot.register.skips("things", 1) == []
        assert snapshot.register.skips("others", 2) == []


# Taking over.


def test_what_takes_over_serves_and_what_served_is_kept(
    read_store: ReadStore, lease: Lease
) -> None:
    for role in (Role.SERVING, Role.BUILDING):
        made(read_store, role=role)
    with read_store.begin() as unit:
        unit.register.switch("things", 2, now=77, comparison="the same")
        unit.commit()
    first, second = generations(read_store)
    assert (first.role, first.replaced_time) == (Role.REPLACED, 77)
    assert (second.role, second.replaced_time) == (Role.SERVING, 0)
    assert (first.comparison, second.comparison) == ("", "the same")
    assert served([first, second], version=1) == second
    assert previous([first, second], version=1) == first


def test_going_back_keeps_what_the_comparison_has_shown(
    read_store: ReadStore, lease: Lease
) -> None:
    for role in (Role.SERVING, Role.BUILDING):
        made(read_store, role=role)
    with read_store.begin() as unit:
        unit.register.switch("things", 2, now=77, comparison="the same")
        unit.register.switch("things", 1, now=78)
        unit.register.switch("things", 2, now=79)
        unit.commit()
    first, second = generations(read_store)
    assert (first.role, first.replaced_time) == (Role.REPLACED, 79)
    assert (second.role, second.comparison) == (Role.SERVING, "the same")


def test_of_each_version_what_was_replaced_last_is_kept(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store, version=1)
    made(read_store, version=2, role=Role.BUILDING)
    for number in (3, 4):
        made(read_store, version=1, role=Role.BUILDING)
        switch(read_store, number, now=NOW + number)
    assert roles(read_store) == {
        1: Role.DROPPING,
        2: Role.BUILDING,
        3: Role.REPLACED,
        4: Role.SERVING,
    }
    switch(read_store, 2, now=NOW + 5)
    assert roles(read_store) == {
        1: Role.DROPPING,
        2: Role.SERVING,
        3: Role.DROPPING,
        4: Role.REPLACED,
    }


@pytest.mark.parametrize("position", [0, 6])
def test_what_is_behind_does_not_take_over(
    read_store: ReadStore, lease: Lease, position: int
) -> None:
    made(read_store)
    made(read_store, role=Role.BUILDING)
    write(read_store, lease, 1, position=7)
    if position:
        write(read_store, lease, 2, position=position)
    with pytest.raises(GenerationBehind) as caught:
        switch(read_store, 2)
    assert (caught.value.position, caught.value.served_position) == (position, 7)
    assert roles(read_store) == {1: Role.SERVING, 2: Role.BUILDING}
    write(read_store, lease, 2, position=7)
    switch(read_store, 2)
    assert roles(read_store) == {1: Role.REPLACED, 2: Role.SERVING}


@pytest.mark.parametrize("to", [1, 2, 3])
def test_what_serves_is_dropped_or_is_not_there_cannot_take_over(
    read_store: ReadStore, lease: Lease, to: int
) -> None:
    made(read_store)
    made(read_store, role=Role.DROPPING)
    with pytest.raises(ValueError, match=f"generation {to} can take nothing over"):
        switch(read_store, to)


def test_what_was_replaced_may_be_rebuilt_with(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    made(read_store, role=Role.BUILDING)
    switch(read_store, 2, now=77)
    with read_store.begin() as unit:
        unit.register.rebuild_with("things", 1)
        unit.commit()
    first = generation(read_store, 1)
    assert (first.role, first.replaced_time) == (Role.BUILDING, 0)


# Going.


def empty(store: ReadStore, *, rows_max: int = 100) -> list[int]:
    """Empties all that was dropped; how much of it each unit has removed."""
    removed: list[int] = []
    for _ in range(UNITS_MAX):
        with store.begin() as unit:
            removed.append(unit.register.empty_dropped(rows_max=rows_max))
            unit.commit()
        if not removed[-1]:
            return removed
    raise AssertionError("it is never empty")


def dropped(store: ReadStore) -> list[tuple[str, int]]:
    with store.begin() as unit:
        return list(unit.register.dropped())


@pytest.mark.parametrize("rows_max", [1, 3, 7, 10, 1000])
def test_what_is_dropped_is_emptied_bit_by_bit(
    read_store: ReadStore, lease: Lease, rows_max: int
) -> None:
    for _ in range(3):
        made(read_store, role=Role.BUILDING)
    for number in (1, 2, 3):
        write(read_store, lease, number, *"abcdefghij")
        with read_store.begin() as unit:
            tables = unit.generation(lease, number).tables
            tables.write(pairs, [{"left": "x", "right": n} for n in range(10)])
            unit.register.skip("things", number, a_skip(number))
            unit.commit()
    with read_store.begin() as unit:
        unit.register.drop("things", 1)
        unit.register.drop("things", 3)
        unit.commit()
    assert dropped(read_store) == [("things", 1), ("things", 3)]
    removed = empty(read_store, rows_max=rows_max)
    # Rows, and a table at the end of each.
    assert sum(removed) == 2 * (2 * 10 + 2)
    assert max(removed) <= rows_max + 1
    assert dropped(read_store) == []
    assert roles(read_store) == {2: Role.BUILDING}
    with read_store.begin() as unit:
        assert len(unit.generation(lease, 2).tables.fetch(things, [("a",)])) == 1
        assert unit.register.skips("things", 1) == []
        assert unit.register.skips("things", 2) == [a_skip(2)]


def test_emptying_is_gone_on_with_after_a_restart(
    read_backend: ReadBackend, lease: Lease
) -> None:
    made(read_backend.store)
    write(read_backend.store, lease, 1, *"abcdefghij")
    with read_backend.store.begin() as unit:
        unit.register.drop("things", 1)
        assert unit.register.empty_dropped(rows_max=4) == 4
        unit.commit()
    read_backend.restart()
    assert dropped(read_backend.store) == [("things", 1)]
    assert sum(empty(read_backend.store)) == 6 + 2
    assert generations(read_backend.store) == []


def test_what_nobody_has_dropped_is_not_emptied(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    write(read_store, lease, 1, "a")
    assert empty(read_store) == [0]
    with read_store.begin() as unit:
        assert sizes(unit.generation(lease, 1).tables, "a") == {"a": 1}


def test_a_dropped_generation_of_no_rows_goes_as_well(
    read_store: ReadStore, lease: Lease
) -> None:
    made(read_store)
    with read_store.begin() as unit:
        unit.register.drop("things", 1)
        unit.commit()
    assert empty(read_store) == [2, 0]
    assert generations(read_store) == []


def test_a_moment_keeps_what_is_emptied_after_it(
    read_backend: ReadBackend, lease: Lease
) -> None:
    store = read_backend.store
    made(store)
    write(store, lease, 1, "a")
    with read_backend.reader.snapshot() as snapshot:
        assert sizes(snapshot.generation(1), "a") == {"a": 1}
        with store.begin() as unit:
            unit.register.drop("things", 1)
            unit.commit()
        empty(store)
        assert sizes(snapshot.generation(1), "a") == {"a": 1}
        assert [each.number for each in snapshot.register.generations("things")] == [1]
    assert generations(store) == []


def test_of_what_is_not_there_nothing_is_changed(
    read_store: ReadStore, lease: Lease
) -> None:
    with read_store.begin() as unit:
        unit.generation(lease, 7).report(Progress(comparing=True))
        unit.generation(lease, 7).fail(FAILURE)
        unit.register.drop("things", 7)
        unit.register.go_on("things", 7)
        unit.register.rebuild_with("things", 7)
        unit.register.set_pause("others", None)
        unit.commit()
    with read_store.begin() as unit:
        assert unit.register.generations("things") == []
        assert unit.register.ownership("others") is None
