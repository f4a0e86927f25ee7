"""The life of a process: how it starts, drains and ends, seen from outside."""

import array
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios

import pytest

from tests.support.processes import (
    STOP_SECONDS_MAX,
    StartedProcess,
    start_module,
    wait_until,
)

PROBE = "tests.process.probe"


PIPE_BYTES = 60_000
"""All but full: a pipe of Linux holds 65 536 bytes, in whole lines."""


def waiting_in(pipe: int) -> int:
    """Bytes that nobody has read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def probe(mode: str, **environment: str) -> StartedProcess:
    return start_module(PROBE, mode, environment=environment)


def end_of(mode: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a probe that ends by itself."""
    with probe(mode, **environment) as process:
        code = process.wait()
        return code, process.output, process.errors


def events(output: str) -> list[str]:
    return [json.loads(line)["event"] for line in output.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_process_and_it_exits_with_0(
    number: signal.Signals,
) -> None:
    with probe("wait") as process:
        process.listening()
        process.popen.send_signal(number)
        assert process.wait() == 0
        assert events(process.output) == ["listening", "stopping", "drained", "stopped"]
        assert json.loads(process.output.splitlines()[1])["reason"] == number.name
        assert process.errors == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_process_that_nobody_reads_any_more_drains_all_the_same(
    log_format: str,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", PROBE, "wait"],
        env=os.environ | {"ORDERES_LOG_FORMAT": log_format},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS_MAX) == 0


def test_a_reader_of_the_log_that_stalls_does_not_stall_the_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", PROBE, "chatter"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        try:
            wait_until(
                lambda: waiting_in(pipe) >= PIPE_BYTES,
                seconds_max=STOP_SECONDS_MAX,
                what="the pipe is full",
            )
            process.send_signal(signal.SIGTERM)
            code = process.wait(STOP_SECONDS_MAX)
        finally:
            process.kill()
    assert code == 0


def test_uvloop_is_used_where_it_is_installed() -> None:
    with probe("wait") as process:
        assert process.listening()["loop"] == "uvloop"
        process.stop()


def test_the_end_of_the_supervisor_drains_the_process() -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", PROBE, "wait", str(read_end)],
        stdout=subprocess.PIPE,
        pass_fds=[read_end],
        text=True,
    ) as process:
        os.close(read_end)
        assert process.stdout is not None
        assert events(process.stdout.readline()) == ["listening"]
        os.write(write_end, b"alive")
        os.close(write_end)
        output, _ = process.communicate(timeout=STOP_SECONDS_MAX)
    assert process.returncode == 0
    assert events(output) == ["stopping", "drained", "stopped"]
    assert json.loads(output.splitlines()[0])["reason"] == "supervisor is gone"


def test_a_supervisor_fd_that_is_not_open_is_a_failure_to_start() -> None:
    with start_module(PROBE, "wait", "97") as process:
        assert process.wait() == 78
        assert "supervisor_fd 97 is not the read end of a pipe" in process.errors


@pytest.mark.parametrize("mode", ["fail_to_start", "fail_to_start_in_a_group"])
def test_a_failure_to_start_says_why_and_exits_with_78(mode: str) -> None:
    code, output, errors = end_of(mode)
    assert code == 78
    assert errors == "orderes probe: the port is in use: choose another"
    assert output == ""


def test_a_crash_is_logged_with_its_traceback_and_exits_with_1() -> None:
    code, output, errors = end_of("crash")
    assert (code, errors) == (1, "")
    (line,) = [json.loads(line) for line in output.splitlines()]
    assert (line["event"], line["level"]) == ("crashed", "critical")
    assert "ValueError: something broke" in line["exception"]
    assert "Traceback" in line["exception"]


def test_a_fatal_error_drains_the_process_and_exits_with_1() -> None:
    code, output, _ = end_of("break_down")
    assert code == 1
    assert events(output) == ["drained", "crashed"]
    assert "StoreBroken: the disk is gone" in output


def test_a_process_that_ends_although_nobody_asked_exits_with_1() -> None:
    code, output, _ = end_of("end_unasked")
    assert (code, events(output)) == (1, ["stopped_unasked"])


@pytest.mark.parametrize("mode", ["hang", "hang_in_a_call"])
def test_a_drain_that_hangs_is_cut_off_and_shows_where(mode: str) -> None:
    with probe(mode) as process:
        process.listening()
        assert process.stop() == 1
        assert "Timeout" in process.errors
        assert "lifecycle.py" in process.errors


def test_a_crash_that_cannot_close_is_cut_off_too() -> None:
    code, _, errors = end_of("crash_and_hang")
    assert code == 1
    assert "Timeout" in errors


def test_a_second_signal_ends_the_process_at_once() -> None:
    with probe("hang") as process:
        process.listening()
        process.popen.send_signal(signal.SIGINT)
        process.wait_for_line('"stopping"')
        process.popen.send_signal(signal.SIGINT)
        assert process.wait() == 1
        assert "stopping_at_once" in process.output
        assert process.errors == ""
