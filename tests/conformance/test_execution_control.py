"""What every store guarantees of the switch that pauses execution."""

from eventcore.operators import Pause
from tests.conformance.conftest import WriteBackend

PAUSE = Pause(reason="größere Wartung", time=2**53)


def turn(backend: WriteBackend, pause: Pause | None) -> None:
    with backend.store.begin() as unit:
        unit.control.set_pause(pause)
        unit.commit()


def pause_in(backend: WriteBackend) -> Pause | None:
    with backend.reader.snapshot() as snapshot:
        return snapshot.control.pause()


def test_a_new_store_is_not_paused(write_backend: WriteBackend) -> None:
    assert pause_in(write_backend) is None


def test_a_pause_is_kept_as_it_was_said(write_backend: WriteBackend) -> None:
    turn(write_backend, PAUSE)
    assert pause_in(write_backend) == PAUSE
    with write_backend.store.begin() as unit:
        assert unit.control.pause() == PAUSE


def test_a_pause_ends(write_backend: WriteBackend) -> None:
    turn(write_backend, PAUSE)
    turn(write_backend, None)
    assert pause_in(write_backend) is None


def test_to_resume_what_is_not_paused_is_nothing(write_backend: WriteBackend) -> None:
    turn(write_backend, None)
    assert pause_in(write_backend) is None


def test_a_pause_replaces_the_one_before_it(write_backend: WriteBackend) -> None:
    turn(write_backend, PAUSE)
    other = Pause(reason="", time=5)
    turn(write_backend, other)
    assert pause_in(write_backend) == other


def test_a_unit_of_work_sees_how_it_has_turned_the_switch(
    write_backend: WriteBackend,
) -> None:
    with write_backend.store.begin() as unit:
        unit.control.set_pause(PAUSE)
        assert unit.control.pause() == PAUSE
        unit.control.set_pause(None)
        assert unit.control.pause() is None
        unit.control.set_pause(PAUSE)
    assert pause_in(write_backend) is None
