"""`orderes up` and what people do with it, with real processes on real ports."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.readiness import until_serving
from cli.up_settings import PROCESSES
from tests.support.processes import (
    StartedProcess,
    children_of,
    free_address,
    is_alive,
    is_free,
    start_module,
    wait_until,
)
from tests.system.running import ADDRESSES, Up, running_up

MODULES = ("write_server", "projector", "read_server")
BOOK = ("--line", "book:2:19.99 EUR")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("up")) as running:
        yield running


def place(up: Up, *words: str) -> tuple[str, str]:
    """Places an order; its id and its position."""
    command = up.answer("place", "--customer", "c-1", *BOOK, *words)["command"]
    return command["order_id"], command["position"]


def test_the_banner_says_where_everything_is_and_what_to_type_next(up: Up) -> None:
    output = up.process.output

    for address in up.addresses.values():
        assert address in output
    assert f"The data is in {up.data_dir}" in output
    write_address = up.addresses["write-address"]
    assert '--line "book:2:19.99 EUR" --write-address ' + write_address in output
    assert f"grpcurl -plaintext {write_address} list" in output
    assert f" status --admin-address {up.addresses['write-admin-address']}" in output


def test_an_order_is_placed_paid_shipped_and_its_history_told(up: Up) -> None:
    order_id, _ = place(up)
    pay = ("pay", order_id, "--payment-id", "p-1", "--amount", "39.98 EUR")
    ship = ("ship", order_id, "--carrier", "dhl", "--tracking-number", "t-1")
    paid = up.answer(*pay)
    shipped = up.order(*ship)
    position = str(int(paid["command"]["position"]) + 1)

    order = up.order("get", order_id, "--min-position", position)
    history = up.order("history", order_id, "--min-position", position)

    assert shipped.returncode == 0, shipped.stderr
    assert "state           SHIPPED" in shipped.stdout
    assert "39.98 EUR" in order.stdout
    assert [event for event in history.stdout.split() if event.startswith("Order")] == [
        "OrderPlaced",
        "OrderPaid",
        "OrderShipped",
    ]


def test_a_refusal_of_the_real_server_is_printed_with_the_flags_to_mend(
    up: Up,
) -> None:
    result = up.order("place", "--customer", "", "--line", "book:0:19.99 EUR")

    assert result.returncode == 1
    assert "INVALID_ARGUMENT · INVALID_FIELDS" in result.stderr
    assert "--customer" in result.stderr
    assert "--line (1st)" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_process_that_is_killed_is_brought_back_and_serves_again(
    up: Up, module: str
) -> None:
    order_id, _ = place(up)
    supervisor = up.process.pid
    before = children_of(supervisor)

    os.kill(before[module], signal.SIGKILL)

    name = module.replace("_", " ")
    up.process.wait_for_line(f"the {name} serves again")
    assert f"the {name} was killed by SIGKILL; starting it again in" in (
        up.process.output
    )
    assert children_of(supervisor)[module] != before[module]
    other, position = place(up)
    read = up.answer("get", other, "--min-position", position)
    assert read["order"]["order_id"] == other
    assert up.answer("get", order_id)["order"]["order_id"] == order_id


def test_a_second_up_on_the_same_ports_says_which_are_taken(up: Up) -> None:
    with start_module("cli", "up", *up.flags) as second:
        assert second.wait() == 78

    for name, address in up.addresses.items():
        assert f"--{name} " in second.errors
        assert f"address {address} is in use" in second.errors
    assert "Traceback" not in second.errors


def test_a_second_up_on_the_same_data_says_so_and_ends(up: Up, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError) as failed,
        running_up(tmp_path, f"--data-dir={up.data_dir}"),
    ):
        pass

    message = str(failed.value)
    assert "exit code 78" in message
    # Whichever of the two owners finds it out first.
    assert ".db is in use by another process" in message
    assert "Traceback" not in message


def test_every_fault_of_every_setting_is_reported_before_anything_starts(
    tmp_path: Path,
) -> None:
    faults = (
        "--queue-capacity=0",
        "--projection-poll-seconds=soon",
        "--read-connections=0",
        "--read-address=nowhere",
    )

    with start_module("cli", "up", f"--data-dir={tmp_path / 'data'}", *faults) as up:
        assert up.wait() == 78

    for fault in faults:
        assert fault.partition("=")[0] in up.errors
    assert up.output == ""
    assert not (tmp_path / "data").exists()


def test_sigterm_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        children = children_of(up.process.pid)

        assert up.process.stop() == 0

    assert set(children) == set(MODULES)
    assert not any(is_alive(pid) for pid in children.values())
    assert all(is_free(port) for port in up.ports)
    assert up.process.output.endswith("orderes up: stopped")


def test_up_goes_on_when_its_reader_goes_away(tmp_path: Path) -> None:
    addresses = {name: free_address() for name in ADDRESSES}
    flags = [f"--{name}={address}" for name, address in addresses.items()]
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "cli", "up", f"--data-dir={tmp_path}", *flags]
    with subprocess.Popen(
        command,
        stdout=writing,
        stderr=subprocess.PIPE,
        # What is buffered is written once more at exit.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as process:
        os.close(writing)
        try:
            asyncio.run(all_serve(addresses))
            process.send_signal(signal.SIGTERM)

            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert (process.returncode, errors) == (0, b"")


async def all_serve(addresses: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        for process in PROCESSES:
            address = addresses[process.address.replace("_", "-")]
            await until_serving(address, process.services)


def test_a_killed_up_leaves_no_process_no_lock_and_no_port(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        order_id, _ = place(up)
        children = children_of(up.process.pid)

        up.process.kill()

        wait_until(
            lambda: not any(is_alive(pid) for pid in children.values()),
            seconds_max=15,
            what="the children are gone",
        )
        with start_module("cli", "up", *up.flags) as again:
            again.wait_for_line("Ctrl-C stops it")
            assert up.answer("get", order_id)["order"]["order_id"] == order_id


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("write", ("write-address", "write-admin-address", "write-metrics-address")),
        ("projector", ("projector-address", "projector-metrics-address")),
        ("read", ("read-address", "read-metrics-address")),
    ],
)
def test_one_process_is_served_by_itself(
    tmp_path: Path, name: str, addresses: tuple[str, ...]
) -> None:
    flags = [f"--{address}=127.0.0.1:0" for address in addresses]

    with start_module(
        "cli", "serve", name, f"--data-dir={tmp_path}", *flags
    ) as process:
        listening = process.listening()

        assert not is_free(int(listening["address"].rpartition(":")[2]))
        assert process.stop() == 0


def test_the_demo_tells_its_story_to_the_end() -> None:
    with StartedProcess([sys.executable, "-m", "cli", "demo"]) as demo:
        code = demo.wait(seconds_max=50)

    assert code == 0, demo.output + demo.errors
    assert "COMMAND_QUEUE_FULL" in demo.output
    assert "14 of 14 claims held" in demo.output
