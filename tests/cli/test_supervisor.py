"""A supervisor keeps its children running, and leaves none behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from cli import supervisor as supervising
from cli.supervisor import CannotStart, Child, ChildSpec, Supervisor
from tests.support.processes import StartedProcess, is_alive, wait_until

CHILD = """
import os, select, signal, sys

def end(*_):
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if {deaf} else end)
flags = dict(flag.lstrip("-").split("=") for flag in sys.argv[1:])
if {code} is not None:
    sys.exit({code})
open(flags["ready"], "w").write(str(os.getpid()))
fd = int(flags["supervisor-fd"])
while select.select([fd], [], [])[0]:
    if not os.read(fd, 1):
        sys.exit(0)
"""


@pytest.fixture(autouse=True)
def _start_may_block(no_blocking_calls: BlockBuster) -> None:
    # Starting a process waits until the new program runs; looking for a file is the test's.
    no_blocking_calls.functions["os.read"].can_block_in(
        "subprocess.py", {"_execute_child"}
    )
    for name in ("os.stat", "os.unlink"):
        no_blocking_calls.functions[name].deactivate()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervising, "BACKOFF_SECONDS_MIN", 0.01)
    monkeypatch.setattr(supervising, "STOP_MARGIN_SECONDS", 0.2)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def _child_modules(tmp_path: Path) -> None:
    for name, code, deaf in (
        ("child", None, False),
        ("deaf_child", None, True),
        ("failing_child", 1, False),
        ("misplaced_child", 78, False),
    ):
        source = CHILD.format(code=code, deaf=deaf)
        (tmp_path / f"{name}.py").write_text(source)


def spec(tmp_path: Path, module: str = "child") -> ChildSpec:
    ready = tmp_path / "ready"

    async def until_ready() -> None:
        await until(ready.exists)

    return ChildSpec(
        name="child", module=module, flags=(f"--ready={ready}",), is_ready=until_ready
    )


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - Nothing tells when a process did it.
        await asyncio.sleep(0.01)


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


async def test_a_child_that_is_killed_is_started_again_and_said_to_serve(
    tmp_path: Path, told: list[str]
) -> None:
    async with Supervisor(
        [spec(tmp_path)], grace_seconds=1, tell=told.append
    ) as supervisor:
        supervisor.start()
        await supervisor.all_ready()
        child = supervisor.children["child"]
        first = pid_of(child)
        (tmp_path / "ready").unlink()

        os.kill(first, signal.SIGKILL)
        await until(lambda: child.starts == 2 and child.ready.is_set())

        assert pid_of(child) != first
    assert told == [
        "the child was killed by SIGKILL; starting it again in 0.01 s",
        "the child serves again",
    ]


async def test_a_child_that_keeps_failing_is_started_again_ever_more_slowly(
    tmp_path: Path, told: list[str]
) -> None:
    async with Supervisor(
        [spec(tmp_path, "failing_child")], grace_seconds=1, tell=told.append
    ) as supervisor:
        supervisor.start()
        await until(lambda: len(told) >= 3)

    assert told[:3] == [
        "the child ended with exit code 1; starting it again in 0.01 s",
        "the child ended with exit code 1; starting it again in 0.02 s",
        "the child ended with exit code 1; starting it again in 0.04 s",
    ]


async def test_a_child_that_cannot_start_as_it_is_set_up_ends_everything(
    tmp_path: Path, told: list[str]
) -> None:
    async with Supervisor(
        [spec(tmp_path, "misplaced_child")], grace_seconds=1, tell=told.append
    ) as supervisor:
        supervisor.start()

        with pytest.raises(CannotStart, match="the child cannot start"):
            await supervisor.all_ready()

    assert told == []


async def test_a_child_that_does_not_end_when_asked_is_killed(
    tmp_path: Path, told: list[str]
) -> None:
    supervisor = Supervisor(
        [spec(tmp_path, "deaf_child")], grace_seconds=0, tell=told.append
    )
    supervisor.start()
    await supervisor.all_ready()
    pid = pid_of(supervisor.children["deaf_child"])

    await supervisor.stop()

    assert not is_alive(pid)
    assert told == ["the child did not end within 0.2 s: killed"]


async def test_stopping_twice_is_stopping_once(tmp_path: Path, told: list[str]) -> None:
    supervisor = Supervisor([spec(tmp_path)], grace_seconds=1, tell=told.append)
    supervisor.start()
    await supervisor.all_ready()

    await supervisor.stop()
    await supervisor.stop()

    assert told == []


async def test_a_supervisor_that_is_stopped_while_it_starts_a_child_leaves_none(
    tmp_path: Path, told: list[str]
) -> None:
    supervisor = Supervisor([spec(tmp_path)], grace_seconds=1, tell=told.append)
    supervisor.start()
    await asyncio.sleep(0)

    await supervisor.stop()

    child = supervisor.children["child"]
    assert child.process is None or child.process.returncode is not None


SUPERVISING = """
import asyncio, pathlib
from cli.supervisor import ChildSpec, Supervisor

async def never():
    await asyncio.Event().wait()

async def main():
    flags = ("--ready={ready}",)
    child = ChildSpec(name="child", module="child", flags=flags, is_ready=never)
    async with Supervisor([child], grace_seconds=1, tell=print) as supervisor:
        supervisor.start()
        await never()

asyncio.run(main())
"""


@pytest.fixture
def supervising_process(tmp_path: Path) -> Iterator[StartedProcess]:
    source = SUPERVISING.format(ready=tmp_path / "ready")
    with StartedProcess([sys.executable, "-c", source]) as process:
        yield process


def test_a_killed_supervisor_leaves_no_orphan(
    tmp_path: Path, supervising_process: StartedProcess
) -> None:
    ready = tmp_path / "ready"
    wait_until(
        lambda: ready.exists() and ready.read_text() != "",
        seconds_max=20,
        what="the child runs",
    )
    child = int(ready.read_text())

    supervising_process.kill()

    wait_until(lambda: not is_alive(child), seconds_max=5, what="the child is gone")
