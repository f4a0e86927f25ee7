from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.domain.growing_map import GrowingMap

ITEMS = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers()))


def grown(items: list[tuple[str, int]]) -> GrowingMap[int]:
    nothing: GrowingMap[int] = GrowingMap()
    return reduce(lambda growing, item: growing.including(*item), items, nothing)


@settings(deadline=None)
@given(ITEMS)
def test_it_holds_what_a_dict_would_hold(items: list[tuple[str, int]]) -> None:
    growing = grown(items)
    expected = dict(items)
    assert {key: growing.get(key) for key in expected} == expected
    assert growing.get("z") is None


@settings(deadline=None)
@given(ITEMS, ITEMS, ITEMS)
def test_growing_in_two_ways_leaves_the_common_past_as_it_was(
    past: list[tuple[str, int]],
    one: list[tuple[str, int]],
    other: list[tuple[str, int]],
) -> None:
    common = grown(past)
    for future in (one, other):
        reduce(lambda growing, item: growing.including(*item), future, common)
    assert common == grown(past)


def test_a_thousand_items_are_in_ten_levels_each_larger_than_the_next() -> None:
    sizes = [len(level) for level in grown([(str(n), n) for n in range(1000)]).levels]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 10
