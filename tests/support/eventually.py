"""Waits for what another task, thread or process brings about, up to a deadline."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

SECONDS_MAX = 10.0
LOOK_SECONDS = 0.005


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = SECONDS_MAX
) -> None:
    """Returns once the condition holds; fails after the time."""
    async with asyncio.timeout(seconds):
        while not await _holds(condition):  # noqa: ASYNC110  # Nothing tells of it.
            await asyncio.sleep(LOOK_SECONDS)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    held = condition()
    return await held if inspect.isawaitable(held) else held
