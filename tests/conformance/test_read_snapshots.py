"""What every read store guarantees of its moments: they are never a mix of two."""

from eventcore.generations import Role, served
from eventcore.read_store import ReadStoreSnapshot
from tests.conformance.conftest import ReadBackend
from tests.conformance.read_models import made, sizes, switch, taken, things, write


def answer(snapshot: ReadStoreSnapshot) -> tuple[int, int, dict[str, int]]:
    """Which generation answers, how far it is, and what it answers."""
    found = served(snapshot.register.generations("things"), version=1)
    assert found is not None
    rows = sizes(snapshot.generation(found.number), "a", "b")
    return found.number, found.checkpoint.position, rows


def test_a_moment_stays_as_it_is_while_another_generation_takes_over(
    read_backend: ReadBackend,
) -> None:
    store = read_backend.store
    lease = taken(store)
    made(store)
    write(store, lease, 1, "a", size=1, position=1)
    with read_backend.reader.snapshot() as snapshot:
        made(store, role=Role.BUILDING)
        write(store, lease, 2, "a", "b", size=2, position=2)
        write(store, lease, 1, "b", size=1, position=2)
        switch(store, 2)
        with store.begin() as unit:
            unit.register.drop("things", 1)
            unit.register.empty_dropped(rows_max=100)
            unit.commit()
        assert answer(snapshot) == (1, 1, {"a": 1})
        scan = snapshot.generation(1).scan(things)
        assert [row[0] for rows in scan for row in rows] == ["a"]
    with read_backend.reader.snapshot() as snapshot:
        assert answer(snapshot) == (2, 2, {"a": 2, "b": 2})


def test_a_moment_shows_nothing_of_a_unit_under_way(read_backend: ReadBackend) -> None:
    store = read_backend.store
    lease = taken(store)
    made(store)
    write(store, lease, 1, "a", position=1)
    with store.begin() as unit:
        unit.generation(lease, 1).tables.delete(things, [("a",)])
        with read_backend.reader.snapshot() as snapshot:
            assert answer(snapshot) == (1, 1, {"a": 1})
            unit.commit()
            assert answer(snapshot) == (1, 1, {"a": 1})
    with read_backend.reader.snapshot() as snapshot:
        assert answer(snapshot) == (1, 1, {})


def test_moments_follow_each_other(read_backend: ReadBackend) -> None:
    store = read_backend.store
    lease = taken(store)
    made(store)
    for position in range(1, 4):
        write(store, lease, 1, "a", size=position, position=position)
        with read_backend.reader.snapshot() as snapshot:
            assert answer(snapshot) == (1, position, {"a": position})


def test_a_reader_closes_twice(read_backend: ReadBackend) -> None:
    read_backend.reader.close()
    read_backend.reader.close()
    read_backend.store.close()
    read_backend.store.close()
