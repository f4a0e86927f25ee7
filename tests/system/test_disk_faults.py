"""The write server as a process whose disk fails: each fault has the answer that it deserves."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.support.disk_faults import DiskFaults, Operation
from tests.support.load import (
    LOST,
    LOST_IN_A_CRASH,
    Callers,
    Client,
    Sent,
    a_command,
    repeat_all,
    under_load,
    wait_for,
)
from tests.support.processes import StartedProcess
from tests.support.requirements import require_tool
from tests.support.write_process import start_write_server, stored_in

ROUNDS = int(os.environ.get("ORDERES_DISK_FAULT_ROUNDS", "2"))
"""How often a sync fails; more for a long run."""
SYNCS_MAX = 30
"""So many syncs succeed at most before one fails."""
LOG_OF_THE_STORE = "write.db-wal"
FILES_OF_THE_STORE = "write.db"
STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
IO_ERROR = "disk I/O error"
EXIT_FAILED = 1
DISK_BYTES = 4 * 2**20
ROOM_BYTES = 256 * 2**10


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskFaults]:
    with DiskFaults(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_armed(faults: DiskFaults) -> Iterator[None]:
    yield
    faults.disarm()


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_a_sync_that_fails_ends_the_process_and_repeating_settles_what_was_under_way(
    faults: DiskFaults, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    sent: dict[str, Sent] = {}
    for number in range(ROUNDS):
        # The first round fails the very first commit.
        let_through = chance.randint(1, SYNCS_MAX) if number else 0
        with start_write_server(tmp_path, environment=faults.environment) as process:
            process.listening()
            faults.arm(
                Operation.SYNC,
                name=LOG_OF_THE_STORE,
                error=errno.EIO,
                let_through=let_through,
            )
            with under_load(
                process, seed=seed + number, lost=LOST_IN_A_CRASH
            ) as callers:
                assert process.wait() == EXIT_FAILED
            faults.disarm()
        assert faults.failed > 0
        assert '"crashed"' in process.output
        assert IO_ERROR in process.output
        assert any(ended.code is LOST for ended in callers.ended)
        sent |= callers.sent
    answered = {command.command_id for command in sent.values() if command.answers}
    assert answered - set(stored_in(tmp_path).commands) == set()
    with start_write_server(tmp_path) as process:
        assert_settled(process, tmp_path, sent)


def assert_settled(
    process: StartedProcess, data_dir: Path, sent: dict[str, Sent]
) -> None:
    """Repeating every command gives each the one outcome that it has had all along."""
    repeat_all(process, sent)
    assert process.stop() == 0
    stored = stored_in(data_dir)
    stored.assert_sound()
    assert set(stored.commands) == set(sent)
    for command in sent.values():
        assert len(set(command.answers)) == 1, command


def test_a_full_disk_stores_nothing_by_halves_and_is_got_over_without_help(
    faults: DiskFaults, tmp_path: Path
) -> None:
    with start_write_server(tmp_path, environment=faults.environment) as process:
        with under_load(process, seed=1) as callers:
            wait_for(lambda: callers.answered() >= 50, "answers")
            faults.arm(Operation.WRITE, name=FILES_OF_THE_STORE, error=errno.ENOSPC)
            assert_gets_over(process, callers, tmp_path, make_room=faults.disarm)
        assert faults.failed > 0
        assert_settled(process, tmp_path, callers.sent)


def test_a_disk_that_is_really_full_is_got_over_too(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk") as disk,
        start_write_server(disk) as process,
    ):
        process.listening()
        ballast = disk / "ballast"
        free = os.statvfs(disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - ROOM_BYTES))
        with under_load(process, seed=2) as callers:
            assert_gets_over(process, callers, disk, make_room=ballast.unlink)
        assert process.stop() == 0
        stored_in(disk).assert_sound()


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of a few MB; the test is skipped where none can be mounted."""
    place.mkdir()
    mount = require_tool("mount", "a small disk is mounted and filled")
    options = ("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place))
    mounted = subprocess.run([mount, *options], capture_output=True, check=False)
    if mounted.returncode:
        # It is no tool that could be installed; a disk that says it is full is tested above too.
        pytest.skip("this user cannot mount the small disk that the test fills")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def assert_gets_over(
    process: StartedProcess,
    callers: Callers,
    data_dir: Path,
    *,
    make_room: Callable[[], object],
) -> None:
    """Callers hear that the disk is full; once there is room, all goes on by itself."""

    def turned_away() -> set[str]:
        return {e.reason for e in list(callers.ended) if e.code is LOST}

    wait_for(lambda: turned_away() != set(), "a full disk")
    full = callers.answered()
    wait_for(lambda: len(callers.ended) >= full + 50, "calls to a full disk")
    stored_in(data_dir).assert_sound()
    make_room()
    before = callers.answered()
    wait_for(lambda: callers.answered() >= before + 50, "answers again")
    assert process.popen.poll() is None
    assert turned_away() == {STORE_UNAVAILABLE}


def test_what_the_reader_cannot_read_ends_the_process_too(
    faults: DiskFaults, tmp_path: Path
) -> None:
    with start_write_server(tmp_path, environment=faults.environment) as process:
        client = Client(process.listening()["address"], lost=LOST_IN_A_CRASH)
        sent = a_command(random.Random(1), [])
        assert client.call(sent) is grpc.StatusCode.OK
        faults.arm(Operation.READ, name=FILES_OF_THE_STORE, error=errno.EIO)

        assert client.call(sent) is LOST  # The writer is idle: only the reader reads.

        assert process.wait() == EXIT_FAILED
        client.close()
        assert '"crashed"' in process.output
        assert IO_ERROR in process.output
    assert set(stored_in(tmp_path).commands) == {sent.command_id}
