"""What every store guarantees of checkpoints: they move only from where they are."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CheckpointMoved
from eventcore.read_store import ReadStore
from tests.conformance.read_store_backends import READ_STORES, read_store_of

CHECKPOINT = Checkpoint(
    projection="things",
    store_id="01900000-0000-7000-8000-00000000abcd",
    position=7,
    event_id="01900000-0000-7000-8000-000000000007",
    position_time=2**53,
    head_position=9,
    complete_time=5,
)


@pytest.fixture(params=READ_STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadStore]:
    with read_store_of(request.param, tmp_path) as store:
        yield store


def advance(store: ReadStore, checkpoint: Checkpoint, expected: int | None) -> None:
    with store.begin() as unit:
        unit.checkpoints.advance(checkpoint, expected_position=expected)
        unit.commit()


def checkpoint_in(store: ReadStore, projection: str = "things") -> Checkpoint | None:
    with store.begin() as unit:
        return unit.checkpoints.get(projection)


def test_there_is_none_before_the_first(store: ReadStore) -> None:
    assert checkpoint_in(store) is None


def test_the_first_is_kept_whole(store: ReadStore) -> None:
    advance(store, CHECKPOINT, None)
    assert checkpoint_in(store) == CHECKPOINT


def test_it_moves_from_where_it_is(store: ReadStore) -> None:
    advance(store, CHECKPOINT, None)
    moved = replace(CHECKPOINT, position=9, event_id="", complete_time=6)
    advance(store, moved, 7)
    assert checkpoint_in(store) == moved


def test_it_may_stay_where_it_is_and_be_fresher(store: ReadStore) -> None:
    advance(store, CHECKPOINT, None)
    fresher = replace(CHECKPOINT, head_position=10, complete_time=60)
    advance(store, fresher, 7)
    assert checkpoint_in(store) == fresher


@pytest.mark.parametrize("expected", [None, 0, 6, 8])
def test_it_does_not_move_from_elsewhere(
    store: ReadStore, expected: int | None
) -> None:
    advance(store, CHECKPOINT, None)
    with pytest.raises(CheckpointMoved):
        advance(store, replace(CHECKPOINT, position=8), expected)
    assert checkpoint_in(store) == CHECKPOINT


def test_it_does_not_move_before_it_is_there(store: ReadStore) -> None:
    with pytest.raises(CheckpointMoved):
        advance(store, CHECKPOINT, 0)
    assert checkpoint_in(store) is None


def test_projections_have_their_own(store: ReadStore) -> None:
    other = replace(CHECKPOINT, projection="others", position=1)
    advance(store, CHECKPOINT, None)
    advance(store, other, None)
    advance(store, replace(other, position=2), 1)
    assert checkpoint_in(store) == CHECKPOINT
