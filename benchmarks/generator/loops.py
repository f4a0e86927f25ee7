"""The event loop of whoever measures."""

import asyncio
from collections.abc import Callable


def event_loops() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop that costs callers the least, where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # An extra.
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
