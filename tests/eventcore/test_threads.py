"""A thread of its own: order, errors, and callers that leave."""

import asyncio
import gc
import threading

import pytest

from eventcore.threads import OwnThread
from tests.support.eventually import eventually


async def test_everything_runs_on_the_one_thread_in_order() -> None:
    thread = OwnThread("own")
    names: list[str] = []
    order: list[int] = []

    def work(number: int) -> int:
        names.append(threading.current_thread().name)
        order.append(number)
        return number

    answers = await asyncio.gather(
        *(thread.run(lambda number=number: work(number)) for number in range(20))  # type: ignore[misc]
    )
    await asyncio.to_thread(thread.close)
    assert answers == order == list(range(20))
    assert len(set(names)) == 1
    assert names[0].startswith("own")


async def test_what_the_function_raises_is_raised() -> None:
    thread = OwnThread("own")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 1) == 1
    await asyncio.to_thread(thread.close)


async def test_a_caller_that_leaves_does_not_stop_the_work() -> None:
    thread = OwnThread("own")
    started, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work(name: str) -> None:
        started.set()
        go_on.wait(10)
        done.append(name)

    under_way = asyncio.create_task(thread.run(lambda: work("under way")))
    queued = asyncio.create_task(thread.run(lambda: work("queued")))
    await eventually(started.is_set)
    for task in (under_way, queued):
        task.cancel()
    assert all(
        isinstance(result, asyncio.CancelledError)
        for result in await asyncio.gather(under_way, queued, return_exceptions=True)
    )
    go_on.set()
    await thread.run(lambda: None)
    assert done == ["under way", "queued"]
    await asyncio.to_thread(thread.close)


async def test_an_error_after_its_caller_has_left_is_nobodys() -> None:
    thread = OwnThread("own")
    started, go_on = threading.Event(), threading.Event()

    def fail() -> None:
        started.set()
        go_on.wait(10)
        raise ZeroDivisionError

    task = asyncio.create_task(thread.run(fail))
    await eventually(started.is_set)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: complaints.append(context)
    )
    go_on.set()
    assert await thread.run(lambda: 1) == 1
    await asyncio.to_thread(thread.close)
    del task  # It holds the frame, and the frame what it waited for.
    gc.collect()
    assert complaints == []


async def test_closing_waits_for_what_was_handed_over() -> None:
    thread = OwnThread("own")
    done: list[int] = []
    answers = [
        asyncio.create_task(thread.run(lambda n=n: done.append(n)))  # type: ignore[misc]
        for n in range(3)
    ]
    await asyncio.sleep(0)
    await asyncio.to_thread(thread.close)
    await asyncio.gather(*answers)
    assert done == [0, 1, 2]
    await asyncio.to_thread(thread.close)
    with pytest.raises(RuntimeError):
        await thread.run(lambda: None)
