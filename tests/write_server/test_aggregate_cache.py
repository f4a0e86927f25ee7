"""The cache of aggregates: what it keeps, and that what it holds is bounded in both ways."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.aggregate import ALIKE_BYTES, Aggregate
from eventcore.messages import NO_STREAM, StreamId
from tests.write_server.things import THING, View
from write_server.aggregates import AggregateCache, Loaded

BYTES_MAX = 100
COUNT_MAX = 4


def weigh(state: int | None, _view: View) -> int:
    """A thing weighs its total."""
    return state or 0


HEAVY: Aggregate[Any, int | None, Any, View] = replace(THING, weigh=weigh)


def stream(number: int) -> StreamId:
    return StreamId("thing", str(number))


def of_weight(weight: int, version: int = 1) -> Loaded:
    return Loaded(HEAVY, state=weight, version=version)


def a_cache(*, aggregates_max: int = COUNT_MAX) -> AggregateCache:
    return AggregateCache(aggregates_max=aggregates_max, bytes_max=BYTES_MAX)


def cache_of(*weights: int) -> AggregateCache:
    """With streams 0, 1, and so on, the first of which was used longest ago."""
    cache = a_cache()
    cache.keep(
        {stream(number): of_weight(weight) for number, weight in enumerate(weights)}
    )
    return cache


def held(cache: AggregateCache) -> dict[StreamId, int]:
    """The weights of what it holds."""
    found = {stream(number): cache.get(stream(number)) for number in range(8)}
    return {key: loaded.state for key, loaded in found.items() if loaded is not None}


def test_what_was_used_longest_ago_makes_room_for_the_weight() -> None:
    cache = cache_of(40, 30, 20)
    cache.get(stream(0))
    cache.keep({stream(3): of_weight(35)})
    assert held(cache) == {stream(0): 40, stream(2): 20, stream(3): 35}
    assert cache.bytes == 95


def test_what_was_used_longest_ago_makes_room_for_one_more() -> None:
    cache = cache_of(1, 1, 1, 1, 1)
    assert sorted(held(cache)) == [stream(number) for number in (1, 2, 3, 4)]


def test_one_that_fills_the_bound_is_kept_and_a_heavier_one_is_not() -> None:
    cache = cache_of(BYTES_MAX)
    assert held(cache) == {stream(0): BYTES_MAX}
    cache.keep({stream(1): of_weight(BYTES_MAX + 1)})
    assert held(cache) == {stream(0): BYTES_MAX}


def test_one_that_became_too_heavy_leaves_nothing_behind() -> None:
    cache = cache_of(10)
    cache.keep({stream(0): of_weight(BYTES_MAX + 1, version=2)})
    assert (held(cache), cache.bytes) == ({}, 0)


def test_one_that_has_no_events_is_not_kept() -> None:
    cache = a_cache()
    cache.keep({stream(0): of_weight(1, version=NO_STREAM)})
    assert len(cache) == 0


def test_a_cache_for_none_keeps_none() -> None:
    cache = a_cache(aggregates_max=0)
    cache.keep({stream(0): of_weight(10)})
    assert (len(cache), cache.bytes) == (0, 0)


def test_aggregates_that_do_not_say_what_they_weigh_weigh_the_same() -> None:
    cache = AggregateCache(aggregates_max=COUNT_MAX, bytes_max=2 * ALIKE_BYTES)
    cache.keep({stream(n): Loaded(THING, state=n, version=1) for n in range(3)})
    assert held(cache) == {stream(1): 1, stream(2): 2}


def test_the_copy_that_a_batch_works_on_does_not_change_what_is_taken_off() -> None:
    cache = cache_of(10, 20)
    copy = cache.get(stream(0))
    assert copy is not None
    copy.state = 50
    assert cache.bytes == 30
    cache.keep({stream(0): copy})
    assert cache.bytes == 70
    cache.evict([stream(0), stream(1)])
    assert cache.bytes == 0


numbers = st.integers(0, 7)
keeping = st.dictionaries(numbers, st.integers(0, BYTES_MAX + 20), max_size=6)
evicting = st.lists(numbers, max_size=4)


@given(st.lists(keeping | evicting | numbers, max_size=20))
def test_the_cache_is_that_of_a_list_in_order_of_use(
    steps: Iterable[dict[int, int] | list[int] | int],
) -> None:
    cache = a_cache()
    model: list[tuple[int, int]] = []
    for step in steps:
        match step:
            case dict():
                cache.keep({stream(n): of_weight(step[n]) for n in step})
                for entry in step.items():
                    model = kept(model, *entry)
                model = model[-COUNT_MAX:]
            case list():
                cache.evict(map(stream, step))
                model = [entry for entry in model if entry[0] not in step]
            case int():
                cache.get(stream(step))
                model.sort(key=lambda entry: entry[0] == step)
        assert len(cache) == len(model) <= COUNT_MAX
        assert cache.bytes == sum(weight for _, weight in model) <= BYTES_MAX
    assert held(cache) == {stream(number): weight for number, weight in model}


def kept(model: list[tuple[int, int]], number: int, weight: int) -> Any:
    """The model with one more."""
    model = [entry for entry in model if entry[0] != number]
    if weight > BYTES_MAX:
        return model
    model = [*model, (number, weight)]
    while sum(weight for _, weight in model) > BYTES_MAX:
        model = model[1:]
    return model


@pytest.mark.parametrize("weight", [0, 7])
def test_a_snapshot_is_noted_in_what_is_held(weight: int) -> None:
    cache = cache_of(weight)
    cache.has_snapshot(stream(0), 1)
    cache.has_snapshot(stream(1), 1)
    found = cache.get(stream(0))
    assert found is not None
    assert (found.snapshot_version, cache.bytes) == (1, weight)
