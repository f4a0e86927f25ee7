"""What every read store guarantees of its unit of work."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved
from eventcore.read_store import ProjectionUnit, ReadStore, Row
from tests.conformance.read_store_backends import (
    READ_STORES,
    pairs,
    read_store_of,
    things,
)

NAMES = ("a", "b", "c")
PAIRS = (("x", 1), ("x", 2), ("y", 1))


@pytest.fixture(params=READ_STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadStore]:
    with read_store_of(request.param, tmp_path) as store:
        yield store


def a_thing(name: str, size: int | None = 1) -> Row:
    return {"name": name, "size": size, "content": name.encode()}


def a_checkpoint(position: int) -> Checkpoint:
    return Checkpoint(projection="things", store_id="store", position=position)


STEPS: tuple[Callable[[ProjectionUnit], object], ...] = (
    lambda unit: unit.tables.write(things, [a_thing("a", 2), a_thing("b", 2)]),
    lambda unit: unit.tables.write(pairs, [{"left": "x", "right": 2}]),
    lambda unit: unit.tables.delete(pairs, [("x", 1)]),
    lambda unit: unit.checkpoints.advance(a_checkpoint(2), expected_position=1),
)
BEFORE = ({"a": 1}, {("x", 1)}, 1)
AFTER = ({"a": 2, "b": 2}, {("x", 2)}, 2)


def prepare(store: ReadStore) -> None:
    with store.begin() as unit:
        unit.tables.write(things, [a_thing("a")])
        unit.tables.write(pairs, [{"left": "x", "right": 1}])
        unit.checkpoints.advance(a_checkpoint(1), expected_position=None)
        unit.commit()


def run_steps(unit: ProjectionUnit, count: int) -> None:
    for step in STEPS[:count]:
        step(unit)


def what_is_there(
    store: ReadStore,
) -> tuple[dict[str, int], set[tuple[str, int]], int | None]:
    with store.begin() as unit:
        found = unit.tables.fetch(things, [(name,) for name in NAMES])
        checkpoint = unit.checkpoints.get("things")
        return (
            {row["name"]: row["size"] for row in found.values()},
            set(unit.tables.fetch(pairs, PAIRS)),
            None if checkpoint is None else checkpoint.position,
        )


def test_a_commit_shows_everything_at_once(store: ReadStore) -> None:
    prepare(store)
    with store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(store) == AFTER


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_leaving_without_a_commit_leaves_nothing(store: ReadStore, count: int) -> None:
    prepare(store)
    with store.begin() as unit:
        run_steps(unit, count)
    assert what_is_there(store) == BEFORE


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_a_failure_between_any_two_calls_leaves_nothing(
    store: ReadStore, count: int
) -> None:
    def cut_off() -> None:
        with store.begin() as unit:
            run_steps(unit, count)
            raise RuntimeError("power cut")

    prepare(store)
    with pytest.raises(RuntimeError, match="power cut"):
        cut_off()
    assert what_is_there(store) == BEFORE


def test_a_unit_works_after_one_that_lost(store: ReadStore) -> None:
    def lose() -> None:
        with store.begin() as unit:
            run_steps(unit, 3)
            unit.checkpoints.advance(a_checkpoint(9), expected_position=8)

    prepare(store)
    with pytest.raises(CheckpointMoved):
        lose()
    assert what_is_there(store) == BEFORE
    with store.begin() as unit:
        run_steps(unit, len(STEPS))
        unit.commit()
    assert what_is_there(store) == AFTER


def test_a_unit_sees_what_it_has_done(store: ReadStore) -> None:
    prepare(store)
    with store.begin() as unit:
        run_steps(unit, len(STEPS))
        assert set(unit.tables.fetch(things, [("a",), ("b",)])) == {("a",), ("b",)}
        assert set(unit.tables.fetch(pairs, PAIRS)) == {("x", 2)}
        assert unit.checkpoints.get("things") == a_checkpoint(2)


def test_a_row_is_written_whole_and_read_back_as_it_was(store: ReadStore) -> None:
    row = {"name": "ü\n'", "size": None, "content": bytes(range(256))}
    with store.begin() as unit:
        unit.tables.write(things, [row])
        unit.commit()
    with store.begin() as unit:
        assert unit.tables.fetch(things, [("ü\n'",)]) == {("ü\n'",): row}


def test_writing_a_row_twice_keeps_the_newer_one(store: ReadStore) -> None:
    with store.begin() as unit:
        unit.tables.write(things, [a_thing("a", 1), a_thing("a", 2)])
        unit.tables.write(things, [a_thing("a", 3)])
        unit.commit()
    assert what_is_there(store)[0] == {"a": 3}


def test_a_row_that_is_only_a_key_may_be_written_again(store: ReadStore) -> None:
    with store.begin() as unit:
        for _ in range(2):
            unit.tables.write(pairs, [{"left": "x", "right": 1}])
        unit.commit()
    assert what_is_there(store)[1] == {("x", 1)}


def test_what_is_not_there_is_neither_found_nor_missed(store: ReadStore) -> None:
    with store.begin() as unit:
        unit.tables.delete(things, [("a",)])
        unit.tables.write(things, [])
        unit.tables.delete(pairs, [])
        unit.commit()
        assert unit.tables.fetch(things, [("a",)]) == {}
        assert unit.tables.fetch(pairs, []) == {}


def test_more_keys_than_one_query_can_name(store: ReadStore) -> None:
    keys = [(f"thing {number}",) for number in range(1203)]
    left = [("x", number) for number in range(1203)]
    with store.begin() as unit:
        unit.tables.write(things, [a_thing(name) for (name,) in keys])
        unit.tables.write(pairs, [{"left": a, "right": b} for a, b in left])
        unit.commit()
    with store.begin() as unit:
        assert set(unit.tables.fetch(things, keys + keys)) == set(keys)
        assert set(unit.tables.fetch(pairs, left)) == set(left)
        unit.tables.delete(things, keys)
        assert unit.tables.fetch(things, keys) == {}


def test_a_row_that_was_fetched_is_not_the_store(store: ReadStore) -> None:
    prepare(store)
    with store.begin() as unit:
        unit.tables.fetch(things, [("a",)])[("a",)]["size"] = 99
        unit.commit()
    assert what_is_there(store) == BEFORE
