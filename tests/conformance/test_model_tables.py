"""What every read store guarantees of the rows of read models."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table

from eventcore.model_tables import ReadModelTables, Row, Values
from eventcore.read_store import ModelReader, ReadStore
from eventcore.row_digest import RowDigest, TableDigest
from tests.conformance.conftest import ReadBackend
from tests.conformance.read_models import (
    a_pair,
    a_thing,
    made,
    pairs,
    sizes,
    taken,
    things,
    write,
)


@pytest.fixture
def tables(read_store: ReadStore) -> Iterator[ReadModelTables]:
    """Those of a new generation."""
    lease, number = taken(read_store), made(read_store)
    with read_store.begin() as unit:
        yield unit.generation(lease, number).tables


def scanned(reader: ModelReader, table: Table) -> list[Values]:
    return [row for rows in reader.scan(table) for row in rows]


def digest(reader: ModelReader, table: Table) -> TableDigest:
    digest = RowDigest()
    for rows in reader.scan(table):
        digest.add(rows)
    return digest.result()


@pytest.mark.parametrize(
    "row",
    [
        {"name": "ü\n'", "size": None, "content": bytes(range(256))},
        {"name": "", "size": -(2**63), "content": b""},
        {"name": "%s ? :name \x00", "size": 2**63 - 1, "content": None},
    ],
    ids=["bytes", "empty", "signs"],
)
def test_a_row_is_written_whole_and_read_back_as_it_was(
    tables: ReadModelTables, row: Row
) -> None:
    tables.write(things, [row])
    assert tables.fetch(things, [(row["name"],)]) == {(row["name"],): row}


def test_writing_a_row_twice_keeps_the_newer_one(tables: ReadModelTables) -> None:
    tables.write(things, [a_thing("a", 1), a_thing("a", 2)])
    assert sizes(tables, "a") == {"a": 2}
    tables.write(things, [{"content": None, "size": 3, "name": "a"}])
    assert tables.fetch(things, [("a",)]) == {
        ("a",): {"name": "a", "size": 3, "content": None}
    }


def test_a_row_that_is_only_a_key_may_be_written_again(tables: ReadModelTables) -> None:
    for _ in range(2):
        tables.write(pairs, [a_pair("x", 1)])
    assert tables.fetch(pairs, [("x", 1)]) == {("x", 1): a_pair("x", 1)}


def test_a_row_lacks_no_column(tables: ReadModelTables) -> None:
    with pytest.raises(KeyError, match="content"):
        tables.write(things, [{"name": "a", "size": 1}])


def test_a_removed_row_alone_is_gone(tables: ReadModelTables) -> None:
    tables.write(pairs, [a_pair("x", 1), a_pair("x", 2), a_pair("y", 1)])
    tables.delete(pairs, [("x", 1), ("y", 2)])
    every = [("x", 1), ("x", 2), ("y", 1), ("y", 2)]
    assert set(tables.fetch(pairs, every)) == {("x", 2), ("y", 1)}


def test_what_is_not_there_is_neither_found_nor_missed(tables: ReadModelTables) -> None:
    tables.delete(things, [("a",)])
    tables.write(things, [])
    tables.delete(pairs, [])
    assert tables.fetch(things, [("a",)]) == {}
    assert tables.fetch(pairs, []) == {}


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 64, 65, 500, 501, 1203])
def test_any_number_of_keys_is_found(tables: ReadModelTables, count: int) -> None:
    tables.write(things, [a_thing(f"{n}", n) for n in range(count + 1)])
    tables.write(pairs, [a_pair("x", n) for n in range(count + 1)])
    names = [(f"{n}",) for n in range(count)]
    numbers = [("x", n) for n in range(count)]
    # Keys may be asked for twice, and in any order.
    found = tables.fetch(things, [*names[::-1], *names])
    assert {key: row["size"] for key, row in found.items()} == {
        (f"{n}",): n for n in range(count)
    }
    assert set(tables.fetch(pairs, [*numbers, ("y", 0)])) == set(numbers)
    tables.delete(things, names)
    assert set(tables.fetch(things, [*names, (f"{count}",)])) == {(f"{count}",)}


def test_keys_may_come_one_by_one(tables: ReadModelTables) -> None:
    tables.write(things, [a_thing("a"), a_thing("b")])
    names = ["a", "b"]
    assert len(tables.fetch(things, ((name,) for name in names))) == 2
    tables.delete(things, ((name,) for name in names))
    assert sizes(tables, *names) == {}


def test_a_row_that_was_fetched_is_not_the_store(tables: ReadModelTables) -> None:
    row = a_thing("a")
    tables.write(things, [row])
    row["size"] = 98
    tables.fetch(things, [("a",)])[("a",)]["size"] = 99
    assert sizes(tables, "a") == {"a": 1}


def test_generations_have_rows_of_their_own(read_store: ReadStore) -> None:
    lease = taken(read_store)
    first, second = made(read_store), made(read_store)
    write(read_store, lease, first, "a", "b", size=1)
    write(read_store, lease, second, "a", size=2)
    with read_store.begin() as unit:
        unit.generation(lease, second).tables.delete(things, [("b",)])
        assert sizes(unit.generation(lease, first).tables, "a", "b") == {"a": 1, "b": 1}
        assert sizes(unit.generation(lease, second).tables, "a", "b") == {"a": 2}


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_a_scan_hands_out_every_row_once_some_at_a_time(
    read_backend: ReadBackend, count: int
) -> None:
    lease, number = taken(read_backend.store), made(read_backend.store)
    names = [f"{n}" for n in range(count)]
    write(read_backend.store, lease, number, *names)
    with read_backend.reader.snapshot() as snapshot:
        parts = list(snapshot.generation(number).scan(things))
    assert all(0 < len(rows) <= 1000 for rows in parts)
    found = [row for rows in parts for row in rows]
    assert sorted(found) == sorted((name, 1, name.encode()) for name in names)
    assert all(before != after for before, after in pairwise(sorted(found)))


def test_a_scan_that_is_left_in_the_middle_leaves_the_store_as_it_was(
    read_backend: ReadBackend,
) -> None:
    lease, number = taken(read_backend.store), made(read_backend.store)
    write(read_backend.store, lease, number, *(f"{n}" for n in range(2500)))
    with read_backend.reader.snapshot() as snapshot:
        scan = snapshot.generation(number).scan(things)
        assert len(next(scan)) == 1000
        scan.close()  # type: ignore[attr-defined]
    write(read_backend.store, lease, number, "late")
    with read_backend.reader.snapshot() as snapshot:
        assert len(scanned(snapshot.generation(number), things)) == 2501


ROWS = st.lists(
    st.builds(
        lambda name, size, content: {"name": name, "size": size, "content": content},
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.binary(max_size=5),
    ),
    max_size=20,
    unique_by=lambda row: str(row["name"]),
)


@settings(
    max_examples=30,
    deadline=None,
    # Each example has generations of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS, data=st.data())
def test_digests_are_equal_for_the_same_rows_and_for_no_others(
    read_backend: ReadBackend, rows: list[Row], data: st.DataObject
) -> None:
    lease = taken(read_backend.store)
    numbers = [made(read_backend.store) for _ in range(3)]
    shuffled = data.draw(st.permutations(rows))
    changed = data.draw(ROWS)
    with read_backend.store.begin() as unit:
        for number, content in zip(numbers, (rows, shuffled, changed), strict=True):
            tables = unit.generation(lease, number).tables
            for row in content:
                tables.write(things, [row])
        unit.commit()
    with read_backend.reader.snapshot() as snapshot:
        first, second, third = (snapshot.generation(number) for number in numbers)
        assert digest(first, things) == digest(second, things)
        differs = digest(first, things) != digest(third, things)
        assert differs == (set(scanned(first, things)) != set(scanned(third, things)))
