"""A thread that owns what must not be shared: a database connection, above all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OwnThread:
    """One thread that runs blocking functions for an event loop, one after the other.

    A caller that is cancelled stops waiting; the function goes on, because a commit under way
    cannot be taken back.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[[], T]) -> T:
        """Runs the function on the thread and returns what it returns, or raises what it raises."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._executor, function)
        work.add_done_callback(_heard)
        return await asyncio.shield(work)

    def close(self) -> None:
        """Waits for what was handed over, then ends the thread. Idempotent."""
        self._executor.shutdown(wait=True)


def _heard(work: "asyncio.Future[T]") -> None:
    """Takes note of an error, so that one whose caller has left is not complained about."""
    if not work.cancelled():
        work.exception()
