"""Wake-ups: none is lost while somebody waits, and none ever fails or holds up its sender."""

import asyncio
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from eventcore.wake import SOCKET_PATH_BYTES_MAX, WakeReceiver, WakeSender

NAME = "reader.wake"
PATTERN = "read-*.wake"
LONG = 30.0
"""Seconds: a wait that takes so long has failed."""
SHORT = 0.01


async def send(folder: Path, pattern: str = NAME, *, times: int = 1) -> None:
    """Sends from another thread, as another process would."""

    def send_all() -> None:
        with closing(WakeSender(folder, pattern)) as sender:
            for _ in range(times):
                sender.send()

    await asyncio.to_thread(send_all)


async def names_in(folder: Path) -> list[str]:
    def look() -> list[str]:
        return [path.name for path in folder.iterdir()]

    return await asyncio.to_thread(look)


def leave_dead_socket(path: Path) -> None:
    """What a process leaves behind that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))


@pytest.fixture
def long_folder(tmp_path: Path) -> Path:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert len(str(folder / NAME)) > SOCKET_PATH_BYTES_MAX
    return folder


async def test_a_waiter_is_woken(tmp_path: Path) -> None:
    async with WakeReceiver(tmp_path, NAME) as receiver:
        waiting = asyncio.create_task(receiver.wait(timeout_seconds=LONG))
        await asyncio.sleep(0)
        await send(tmp_path)
        assert await waiting


async def test_a_wake_up_before_the_wait_is_kept(tmp_path: Path) -> None:
    async with WakeReceiver(tmp_path, NAME) as receiver:
        await send(tmp_path)
        assert await receiver.wait(timeout_seconds=LONG)


async def test_nothing_is_lost_between_looking_and_waiting(tmp_path: Path) -> None:
    """Counts up with a wake-up each. A waiter that looks after each wait sees the last one."""
    count, last = 0, 2000

    def count_up() -> None:
        nonlocal count
        with closing(WakeSender(tmp_path, NAME)) as sender:
            for _ in range(last):
                count += 1
                sender.send()

    async with WakeReceiver(tmp_path, NAME) as receiver:
        counting = asyncio.create_task(asyncio.to_thread(count_up))
        while count < last:
            assert await receiver.wait(timeout_seconds=LONG)
        await counting


async def test_many_wake_ups_are_few(tmp_path: Path) -> None:
    async with WakeReceiver(tmp_path, NAME) as receiver:
        await send(tmp_path, times=1000)
        waits = 0
        while await receiver.wait(timeout_seconds=SHORT):
            waits += 1
        assert 1 <= waits < 100
        await send(tmp_path)
        assert await receiver.wait(timeout_seconds=LONG)


async def test_a_wait_ends_without_a_wake_up(tmp_path: Path) -> None:
    async with WakeReceiver(tmp_path, NAME) as receiver:
        assert not await receiver.wait(timeout_seconds=SHORT)


async def test_a_waiter_can_be_woken_from_its_own_loop(tmp_path: Path) -> None:
    async with WakeReceiver(tmp_path, NAME) as receiver:
        receiver.wake()
        assert await receiver.wait(timeout_seconds=LONG)


async def test_a_pattern_wakes_all_that_match(tmp_path: Path) -> None:
    async with (
        WakeReceiver(tmp_path, "read-1.wake") as first,
        WakeReceiver(tmp_path, "read-2.wake") as second,
        WakeReceiver(tmp_path, "other.wake") as other,
    ):
        await send(tmp_path, PATTERN)
        assert await first.wait(timeout_seconds=LONG)
        assert await second.wait(timeout_seconds=LONG)
        assert not await other.wait(timeout_seconds=SHORT)


async def test_a_long_path_works_as_well(long_folder: Path) -> None:
    async with WakeReceiver(long_folder, NAME) as receiver:
        await send(long_folder)
        assert await receiver.wait(timeout_seconds=LONG)
        assert await names_in(long_folder) == [NAME]
    assert await names_in(long_folder) == []


async def test_elsewhere_than_on_linux_a_long_path_leaves_the_poll(
    long_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with capture_logs() as logs:
        async with WakeReceiver(long_folder, NAME) as receiver:
            await send(long_folder)
            assert not await receiver.wait(timeout_seconds=SHORT)
    assert [line["event"] for line in logs] == ["wake_by_poll_only"]


async def test_a_receiver_takes_the_place_of_one_that_died(tmp_path: Path) -> None:
    leave_dead_socket(tmp_path / NAME)
    async with WakeReceiver(tmp_path, NAME) as receiver:
        await send(tmp_path)
        assert await receiver.wait(timeout_seconds=LONG)


async def test_dead_sockets_of_a_pattern_are_removed(tmp_path: Path) -> None:
    leave_dead_socket(tmp_path / "read-1.wake")
    await send(tmp_path, PATTERN)
    assert await names_in(tmp_path) == []


async def test_a_dead_socket_of_one_name_is_left_to_the_next_of_that_name(
    tmp_path: Path,
) -> None:
    leave_dead_socket(tmp_path / NAME)
    await send(tmp_path)
    assert await names_in(tmp_path) == [NAME]


@pytest.mark.parametrize("pattern", [NAME, PATTERN])
async def test_sending_to_nobody_is_no_error(tmp_path: Path, pattern: str) -> None:
    with capture_logs() as logs:
        await send(tmp_path, pattern)
    assert logs == []


async def test_sending_never_raises_and_warns_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        await send(tmp_path / "gone", PATTERN, times=2)
    assert [line["event"] for line in logs] == ["wake_failed"]


async def test_sending_after_the_end_is_harmless(tmp_path: Path) -> None:
    leave_dead_socket(tmp_path / NAME)
    sender = WakeSender(tmp_path, NAME)
    sender.close()
    sender.close()
    sender.send()


async def test_closing_removes_the_socket_and_may_be_repeated(tmp_path: Path) -> None:
    receiver = WakeReceiver(tmp_path, NAME)
    await receiver.open()
    assert await names_in(tmp_path) == [NAME]
    await receiver.close()
    await receiver.close()
    assert await names_in(tmp_path) == []
