"""Look-ups that share queries."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from eventcore.errors import StoreUnavailable
from eventcore.gathering import Gathering
from tests.support.eventually import eventually


class Query:
    """A query that waits until it is let go, and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.error: Exception | None = None
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(keys))
        await self._free.wait()
        if self.error is not None:
            raise self.error
        return {key: len(key) for key in keys if key != "unknown"}


@pytest.fixture
async def query() -> Query:
    return Query()


async def test_each_caller_gets_the_answer_for_its_key(query: Query) -> None:
    gathering = Gathering(query, keys_max=100)
    answers = await asyncio.gather(*map(gathering.find, ["a", "bb", "unknown"]))
    assert answers == [1, 2, None]


async def test_what_arrives_together_shares_one_query(query: Query) -> None:
    gathering = Gathering(query, keys_max=100)
    await asyncio.gather(*map(gathering.find, ["a", "b", "a", "c"]))
    assert query.asked == [["a", "b", "c"]]


async def test_what_arrives_during_a_query_shares_the_next(query: Query) -> None:
    gathering = Gathering(query, keys_max=100)
    query.hold()
    first = asyncio.create_task(gathering.find("a"))
    await eventually(lambda: query.asked == [["a"]])
    # A key that is being asked for is asked for again: the answer under way may be too old.
    later = [asyncio.create_task(gathering.find(key)) for key in ("a", "b")]
    await asyncio.sleep(0)
    query.let_go()
    await asyncio.gather(first, *later)
    assert query.asked == [["a"], ["a", "b"]]


async def test_more_keys_than_one_query_takes_wait_for_the_next(query: Query) -> None:
    gathering = Gathering(query, keys_max=2)
    answers = await asyncio.gather(*map(gathering.find, "abcde"))
    assert answers == [1] * 5
    assert query.asked == [["a", "b"], ["c", "d"], ["e"]]


async def test_an_error_reaches_those_who_asked_and_nobody_after(query: Query) -> None:
    gathering = Gathering(query, keys_max=100)
    query.error = StoreUnavailable()
    results = await asyncio.gather(
        *map(gathering.find, ["a", "a", "b"]), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    query.error = None
    assert await gathering.find("a") == 1


async def test_a_caller_that_leaves_takes_nothing_from_the_others(
    query: Query,
) -> None:
    gathering = Gathering(query, keys_max=100)
    query.hold()
    leaving = asyncio.create_task(gathering.find("a"))
    staying = [asyncio.create_task(gathering.find(key)) for key in ("a", "b")]
    await eventually(lambda: bool(query.asked))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    query.let_go()
    assert await asyncio.gather(*staying) == [1, 1]


async def test_an_error_for_callers_that_have_left_is_nobodys(query: Query) -> None:
    gathering = Gathering(query, keys_max=100)
    query.hold()
    query.error = StoreUnavailable()
    leaving = asyncio.create_task(gathering.find("a"))
    await eventually(lambda: bool(query.asked))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    query.let_go()
    with pytest.raises(StoreUnavailable):
        await gathering.find("b")
