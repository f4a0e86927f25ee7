"""What every read store guarantees of leases: who has lost one cannot write."""

from collections.abc import Callable

import pytest

from eventcore.errors import LeaseLost
from eventcore.generations import Lease, Ownership
from eventcore.operators import Pause
from eventcore.read_store import ReadStore, ReadUnit
from tests.conformance.conftest import ReadBackend
from tests.conformance.read_models import (
    EXPIRE,
    NOW,
    OTHERS,
    made,
    sizes,
    taken,
    write,
)


def acquire(
    store: ReadStore, owner: str, *, now: int = NOW, seize: bool = False
) -> Lease | None:
    with store.begin() as unit:
        lease = unit.register.acquire(
            "things", owner=owner, now=now, expire_time=now + 1_000, seize=seize
        )
        unit.commit()
    return lease


def release(store: ReadStore, lease: Lease) -> None:
    with store.begin() as unit:
        unit.register.release(lease)
        unit.commit()


def renew(store: ReadStore, lease: Lease, *, now: int) -> None:
    with store.begin() as unit:
        unit.register.renew(lease, now=now, expire_time=now + 1_000)
        unit.commit()


def ownership(store: ReadStore) -> Ownership | None:
    with store.begin() as unit:
        return unit.register.ownership("things")


TAKEOVERS: dict[str, Callable[[ReadStore], Lease | None]] = {
    "expired": lambda store: acquire(store, "other", now=EXPIRE),
    "seized": lambda store: acquire(store, "other", seize=True),
    "by its own next process": lambda store: acquire(store, "this", seize=True),
}
USES: dict[str, Callable[[ReadUnit, Lease], object]] = {
    "held": lambda unit, lease: unit.held(lease),
    "generation": lambda unit, lease: unit.generation(lease, 1),
    "renew": lambda unit, lease: unit.register.renew(
        lease, now=NOW, expire_time=EXPIRE
    ),
}


def use(store: ReadStore, lease: Lease, name: str) -> None:
    with store.begin() as unit:
        USES[name](unit, lease)
        unit.commit()


def test_what_nobody_has_heard_of_is_free(read_backend: ReadBackend) -> None:
    assert ownership(read_backend.store) is None
    lease = acquire(read_backend.store, "this")
    assert lease == Lease(projection="things", owner="this", epoch=1)
    read_backend.restart()
    assert ownership(read_backend.store) == Ownership(
        projection="things",
        owner="this",
        epoch=1,
        lease_expire_time=EXPIRE,
        heartbeat_time=NOW,
        pause=None,
    )


@pytest.mark.parametrize("owner", ["other", "this"])
@pytest.mark.parametrize("now", [NOW, EXPIRE - 1])
def test_what_somebody_has_is_not(read_store: ReadStore, owner: str, now: int) -> None:
    acquire(read_store, "this")
    before = ownership(read_store)
    assert acquire(read_store, owner, now=now) is None
    assert ownership(read_store) == before


def test_projections_are_taken_one_by_one(read_store: ReadStore) -> None:
    first, second = taken(read_store), taken(read_store, OTHERS, owner="other")
    with read_store.begin() as unit:
        unit.held(first)
        unit.held(second)
        unit.held(first)


@pytest.mark.parametrize("takeover", TAKEOVERS)
def test_a_takeover_begins_a_new_epoch(read_store: ReadStore, takeover: str) -> None:
    acquire(read_store, "this")
    lease = TAKEOVERS[takeover](read_store)
    assert lease is not None
    assert lease.epoch == 2
    with read_store.begin() as unit:
        unit.held(lease)


@pytest.mark.parametrize("use_name", USES)
@pytest.mark.parametrize("takeover", TAKEOVERS)
def test_who_has_lost_its_lease_can_do_nothing_under_it(
    read_store: ReadStore, takeover: str, use_name: str
) -> None:
    lease = taken(read_store)
    made(read_store)
    write(read_store, lease, 1, "a")
    TAKEOVERS[takeover](read_store)
    before = ownership(read_store)
    with pytest.raises(LeaseLost) as caught:
        use(read_store, lease, use_name)
    assert (caught.value.projection, caught.value.epoch) == ("things", 1)
    with pytest.raises(LeaseLost):
        write(read_store, lease, 1, "b")
    release(read_store, lease)
    assert ownership(read_store) == before


def test_nor_can_who_has_given_it_up(read_store: ReadStore) -> None:
    lease = taken(read_store)
    release(read_store, lease)
    for name in USES:
        with pytest.raises(LeaseLost):
            use(read_store, lease, name)
    release(read_store, lease)
    assert acquire(read_store, "other") == Lease(
        projection="things", owner="other", epoch=2
    )


@pytest.mark.parametrize("use_name", USES)
def test_nor_can_who_never_had_one(read_store: ReadStore, use_name: str) -> None:
    with pytest.raises(LeaseLost):
        use(read_store, Lease(projection="things", owner="this", epoch=1), use_name)
    taken(read_store)
    for stranger in (
        Lease(projection="things", owner="other", epoch=1),
        Lease(projection="things", owner="this", epoch=2),
        Lease(projection="others", owner="this", epoch=1),
    ):
        with pytest.raises(LeaseLost):
            use(read_store, stranger, use_name)


def test_what_was_done_before_it_was_known_is_not_stored(
    read_backend: ReadBackend,
) -> None:
    lease, other = taken(read_backend.store), taken(read_backend.store, OTHERS)
    made(read_backend.store)
    acquire(read_backend.store, "next", seize=True)

    def batch() -> None:
        with read_backend.store.begin() as unit:
            unit.register.set_pause("others", Pause(reason="a look", time=1))
            unit.held(other)
            unit.generation(lease, 1)
            unit.commit()

    with pytest.raises(LeaseLost):
        batch()
    with read_backend.reader.snapshot() as snapshot:
        found = snapshot.register.ownership("others")
        assert found is not None
        assert found.pause is None


def test_a_lease_that_is_given_up_is_lost_for_the_rest_of_the_unit(
    read_store: ReadStore,
) -> None:
    lease = taken(read_store)
    made(read_store)
    with read_store.begin() as unit:
        unit.generation(lease, 1)
        unit.register.release(lease)
        for use in USES.values():
            with pytest.raises(LeaseLost):
                use(unit, lease)


def test_a_lease_lasts_as_long_as_it_is_renewed(read_store: ReadStore) -> None:
    lease = taken(read_store)
    for now in (NOW + 900, NOW + 1_800):
        renew(read_store, lease, now=now)
        found = ownership(read_store)
        assert found is not None
        assert (found.heartbeat_time, found.lease_expire_time) == (now, now + 1_000)
        assert acquire(read_store, "other", now=now + 999) is None
    assert acquire(read_store, "other", now=NOW + 2_800) is not None


def test_a_lease_that_has_expired_holds_until_another_one_takes_it(
    read_backend: ReadBackend,
) -> None:
    lease = taken(read_backend.store)
    made(read_backend.store)
    renew(read_backend.store, lease, now=EXPIRE + 10_000)
    write(read_backend.store, lease, 1, "a")
    with read_backend.reader.snapshot() as snapshot:
        assert sizes(snapshot.generation(1), "a") == {"a": 1}


def test_an_order_to_stand_still_outlives_who_was_told(
    read_backend: ReadBackend,
) -> None:
    pause = Pause(reason="a look", time=5)
    lease = taken(read_backend.store)
    with read_backend.store.begin() as unit:
        unit.register.set_pause("things", pause)
        unit.commit()
    renew(read_backend.store, lease, now=NOW)
    acquire(read_backend.store, "other", seize=True)
    read_backend.restart()
    found = ownership(read_backend.store)
    assert found is not None
    assert (found.owner, found.pause) == ("other", pause)
    with read_backend.store.begin() as unit:
        unit.register.set_pause("things", None)
        unit.commit()
    found = ownership(read_backend.store)
    assert found is not None
    assert found.pause is None
