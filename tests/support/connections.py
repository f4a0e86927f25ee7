"""The threads of asynchronous connections to SQLite."""

import threading

from tests.support.eventually import eventually


async def connections_ended() -> None:
    """Returns once none is left: one that could not connect ends a moment after saying so.

    A thread that outlives the loop it reports to fails whatever test comes next.
    """
    await eventually(
        lambda: (
            not any(
                "_connection_worker_thread" in thread.name
                for thread in threading.enumerate()
            )
        )
    )
