"""The README tells the truth: its lines are run, its tables are compared."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir

import pytest
from prometheus_client import CollectorRegistry

from contexts.orders.domain import order
from contexts.orders.wire import administration, commands, queries
from contexts.orders.write import batches, streams
from eventcore import freshness
from eventcore.process.settings import ProcessSettings, flag_of
from eventcore.rpc import errors
from eventcore.rpc.server import RpcLimits
from eventcore.telemetry import ProjectionMetrics, RpcMetrics, WriteMetrics
from orderes.v1.errors_pb2 import ErrorReason
from projector.settings import ProjectorSettings
from read_server.settings import ReadServerSettings
from tests.support.processes import is_free
from tests.support.requirements import require_tool
from tests.system.running import Up, running_up
from write_server import lookup
from write_server.settings import WriteServerSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS: dict[str, type[ProcessSettings]] = {
    "every": ProcessSettings,
    "write server": WriteServerSettings,
    "projector": ProjectorSettings,
    "read server": ReadServerSettings,
}
DEFAULTS = {
    name.replace("_", "-"): str(field.default)
    for settings_class in SETTINGS.values()
    for name, field in settings_class.model_fields.items()
    if name.endswith("_address")
}
LIMITS: dict[str, float] = {
    "Commands of one stream without an answer": streams.COMMANDS_UNANSWERED_MAX,
    "Commands of one SubmitCommands": batches.COMMANDS_MAX,
    "Commands that are validated at once (validate_only)": lookup.VALIDATING_MAX,
    "Bytes of one message": RpcLimits().message_bytes_max,
    "Bytes of the metadata of one call, 32 more for each entry": (
        RpcLimits().metadata_bytes_max
    ),
    "Wrong fields that one answer names": errors.VIOLATIONS_MAX,
    "Seconds of max_wait, of a command": commands.MAX_WAIT_SECONDS_MAX,
    "Seconds of max_wait, of a query": freshness.MAX_WAIT_SECONDS_MAX,
    "Characters of a command_id": 64,
    "Characters of references: customer, product, payment, refund, tracking number, "
    "correlation": commands.CUSTOMER_ID_LENGTH_MAX,
    "Characters of a carrier": commands.CARRIER_LENGTH_MAX,
    "Characters of a reason": commands.CANCEL_REASON_LENGTH_MAX,
    "Pieces of a product": commands.QUANTITY_MAX,
    "Lines of an order": order.LINES_MAX,
    "Payments of an order": order.PAYMENTS_MAX,
    "Refunds of an order": order.REFUNDS_MAX,
    "Orders in a page": queries.ORDERS_PAGE_SIZE_MAX,
    "Events in a page": queries.EVENTS_PAGE_SIZE_MAX,
    "Failed commands in a page": administration.PAGE_SIZE_MAX,
    "Commands of one retry or discard": administration.COMMAND_IDS_MAX,
}
"""What the code bounds and no setting changes."""
STREAMS_SHARE = "Commands of all streams in a lane"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


GRPCURL = "grpcurl "
ORDERES = ".venv/bin/orderes order "
OPERATING = (
    ".venv/bin/orderes status",
    ".venv/bin/orderes commands ",
    ".venv/bin/orderes pause ",
    ".venv/bin/orderes resume ",
)
READ_MODELS = (".venv/bin/orderes projections", ".venv/bin/orderes verify")
READS = tuple(
    f"{ORDERES}{name}" for name in ("get", "history", "list", "customer", "sales")
)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the README, and the output that it shows."""

    line: str
    shown: str


def steps(program: str | tuple[str, ...]) -> list[Step]:
    """The lines that start so, in order; the block after a line is its output."""
    blocks: list[tuple[str, str]] = [*BLOCK.findall(README), ("", "")]
    return [
        Step(line, shown if not language else "")
        for (kind, text), (language, shown) in pairwise(blocks)
        if kind == "sh"
        for line in text.splitlines()
        if line.startswith(program)
    ]


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


@contextmanager
def printed_addresses() -> Iterator[dict[str, str] | None]:
    """The addresses in the README, if they are free; None if not. Only one at a time has them: the
    tests of this module run in several workers.
    """
    lock = Path(gettempdir()) / "orderes-readme.lock"
    with lock.open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield None
            return
        ports = [int(address.rpartition(":")[2]) for address in DEFAULTS.values()]
        yield DEFAULTS if all(is_free(port) for port in ports) else None


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("readme")
    with (
        printed_addresses() as addresses,
        running_up(folder, addresses=addresses) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def five_minutes(up: Up) -> list[str]:
    """What the lines for grpcurl put out, typed in order into an empty store."""
    require_tool("grpcurl", "the README's lines are run with it")
    return [run(up, step.line) for step in steps(GRPCURL)]


def run(up: Up, line: str) -> str:
    """Runs a line as it is printed, but for the ports if those were taken."""
    for name, default in DEFAULTS.items():
        line = line.replace(default, up.addresses[name])
    result = subprocess.run(
        shlex.split(line), capture_output=True, text=True, check=False, timeout=30
    )
    return result.stdout + result.stderr


def assert_shows(output: str, shown: str) -> None:
    """Every line that is shown is in the output, in this order; `…` is anything."""
    lines = iter(line.strip() for line in output.splitlines())
    for line in shown.splitlines():
        wanted = line.strip()
        if wanted == "…":
            continue
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        assert any(re.fullmatch(pattern, candidate) for candidate in lines), (
            f"the README shows {wanted!r}, but after the line before there is none in\n"
            f"{output}"
        )


def test_the_lines_of_the_five_minutes_work_as_printed(five_minutes: list[str]) -> None:
    printed = steps(GRPCURL)

    for step, output in zip(printed, five_minutes, strict=True):
        assert_shows(output, step.shown)

    assert len(printed) > 10
    assert all(step.shown for step in printed)


def test_the_lines_work_again_when_they_are_repeated(
    up: Up, five_minutes: list[str]
) -> None:
    commands = [step for step in steps(GRPCURL) if '"readme-' in step.line]

    for step in commands:
        output = run(up, step.line)
        assert_shows(output, step.shown)
        if "ERROR" not in step.shown and "GetCommand" not in step.line:
            assert '"deduplicated": true' in output


def test_the_lines_of_the_orderes_command_work_as_printed(
    up: Up, five_minutes: list[str]
) -> None:
    printed = [step.line for step in steps(ORDERES)]
    commands = [line for line in printed if not line.startswith(READS)]
    reads = [line for line in printed if line.startswith(READS)]

    receipts = [up.order(*words_of(line)) for line in commands]
    # A person is slower than the projector; a test says what it waits for.
    order_id, position = receipt_of(receipts[-1].stdout)
    for words in (["get", order_id], ["history", order_id], ["customer", "c-1"]):
        up.answer(*words, "--min-position", position)
    up.answer("sales", "--min-position", position)
    answers = [up.order(*words_of(line)) for line in reads]

    assert {result.stderr for result in receipts + answers} == {""}
    order, history, before, _, customer, sales = (answer.stdout for answer in answers)
    assert "40.48 EUR" in order
    assert "39.98 EUR" in before
    assert "c-1" in customer
    assert "pen" in sales
    assert "added 1 × pen at 0.50 EUR" in history  # noqa: RUF001


def test_the_lines_for_operators_work_as_printed(up: Up) -> None:
    printed = [step.line for step in steps(OPERATING)]

    results = [up.operate(*shlex.split(line)[1:]) for line in printed]

    assert [result.stderr for result in results] == [""] * 5
    assert results[0].stdout.startswith("Commands are executed.")
    assert results[1].stdout.startswith("Execution is paused: the disk is moved")
    assert results[2].stdout.startswith("Commands are executed.")
    assert {result.stdout for result in results[3:]} == {"No failed commands.\n"}


def test_the_lines_about_read_models_work_as_printed(
    up: Up, five_minutes: list[str]
) -> None:
    printed = [step.line for step in steps(READ_MODELS)]

    results = [up.operate(*shlex.split(line)[1:]) for line in printed]

    assert [result.returncode for result in results] == [0] * 6
    shown, rebuilt, paused, resumed, back, verified = (each.stdout for each in results)
    assert shown.startswith("Every projection runs.")
    assert rebuilt.startswith("Generation 2 of orders serves.")
    assert paused.startswith("orders is paused.")
    assert resumed.startswith("orders goes on.")
    assert back.startswith("Generation 1 of orders serves again.")
    assert verified.startswith("Everything is as it should be.")


def test_the_program_for_services_works_as_printed(
    up: Up, five_minutes: list[str]
) -> None:
    (program,) = [text for kind, text in BLOCK.findall(README) if kind == "python"]
    write, read = up.addresses["write-address"], up.addresses["read-address"]
    program = program.replace("Client()", f"Client({write!r}, {read!r})")

    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert result.stderr == ""
    total, refusal = result.stdout.splitlines()
    assert total.startswith("3998 at position ")
    assert "the order is PLACED" in refusal


def words_of(line: str) -> list[str]:
    """The words after `orderes order`."""
    return shlex.split(line.removeprefix(ORDERES))


def receipt_of(output: str) -> tuple[str, str]:
    """The order and the position that a receipt shows."""
    facts = dict(line.split(maxsplit=1) for line in output.splitlines() if "  " in line)
    return facts["order"], facts["position"]


def settings_rows() -> list[str]:
    """The table of settings as the settings classes have it."""
    rows = []
    for process, settings_class in SETTINGS.items():
        for name, field in settings_class.model_fields.items():
            hidden = field.json_schema_extra is not None
            inherited = process != "every" and name in ProcessSettings.model_fields
            if hidden or inherited:
                continue
            default = "" if field.default is None else f"`{field.default}`"
            rows.append(
                f"| `{flag_of(name)}` | {process} | {default} | {field.description} |"
            )
    return rows


def test_the_table_of_settings_is_that_of_the_settings_classes() -> None:
    expected = "\n".join(
        [
            "| Flag | Process | Default | What it is |",
            "|---|---|---|---|",
            *settings_rows(),
        ]
    )

    assert expected in README, f"the table of settings should be:\n{expected}"


def test_the_limits_are_those_of_the_code() -> None:
    shown = {row[0]: row[1] for row in table("Limits")}
    settings = {
        flag_of(name): field.default
        for settings_class in SETTINGS.values()
        for name, field in settings_class.model_fields.items()
    }
    named = {
        limit: f"`{settings[limit.split('`')[-2]]}`"
        for limit in shown
        if limit.endswith("`")
    }
    fixed = {limit: f"`{value}`" for limit, value in LIMITS.items()}

    assert {limit: shown[limit].partition(",")[0] for limit in shown} == {
        **named,
        **fixed,
        STREAMS_SHARE: "half of it",
    }
    bounds = {flag for flag in settings if flag.endswith(("-max", "-capacity"))}
    assert bounds - {"--projection-batch-events-max"} <= {
        limit.split("`")[-2] for limit in named
    }


def test_the_metrics_are_those_that_the_processes_have() -> None:
    registry = CollectorRegistry()
    RpcMetrics(registry)
    WriteMetrics(registry)
    ProjectionMetrics(registry)
    names = {
        f"`{metric.name}{'_total' if metric.type == 'counter' else ''}`"
        for metric in registry.collect()
    }

    assert {row[0] for row in table("Metrics")} == names


def test_the_reasons_of_errors_are_those_of_the_contract() -> None:
    reasons = {
        f"`{name.removeprefix('ERROR_REASON_')}`"
        for name in ErrorReason.keys()  # noqa: SIM118 - It is no dict.
        if not name.endswith("UNSPECIFIED")
    }

    assert {row[0] for row in table("How errors look")} == reasons


def test_the_folders_of_the_map_are_there() -> None:
    folders = [row[0].strip("`") for row in table("Where things are")]

    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
