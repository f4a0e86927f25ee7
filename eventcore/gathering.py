"""Answers many callers with one query: what arrives while a query runs shares the next one.

Nobody lingers: the first caller's query starts at once, and the query under way gathers the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Gathering(Generic[K, V]):
    """Gathers look-ups by key into queries of many keys."""

    def __init__(
        self, query: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, keys_max: int
    ) -> None:
        """Gathers for one kind of query.

        Args:
            query: Answers for many keys at once; a key without an answer is left out.
            keys_max: Keys of one query, at most; the rest waits for the next one.
        """
        self._query = query
        self._keys_max = keys_max
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """What the query answers for the key, or None; raises what the query raises."""
        answer = self._waiting.get(key)
        if answer is None:
            answer = asyncio.get_running_loop().create_future()
            self._waiting[key] = answer
            if self._running is None:
                self._running = asyncio.create_task(self._run())
        # Callers that ask for the same key share the answer, so one that leaves must not end it.
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        # One turn of the loop lets all calls join that are ready to run now.
        await asyncio.sleep(0)
        while self._waiting:
            keys = list(self._waiting)[: self._keys_max]
            answers = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._query(keys)
            except Exception as error:  # noqa: BLE001 - every caller gets it.
                for answer in answers.values():
                    answer.set_exception(error)
                    answer.exception()  # A caller that has left must not be warned about.
            else:
                for key, answer in answers.items():
                    answer.set_result(found.get(key))
        self._running = None
