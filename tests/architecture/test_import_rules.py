"""Every import rule breaks on a violation that is planted in a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PLANTED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "layers": {
        "orderes/client/planted_layer.py": ["eventcore.messages"],
        "eventcore/planted.py": ["contexts.orders.events"],
        "contexts/planted_layer.py": ["write_server.lanes"],
        "projector/planted.py": ["write_server.lanes"],
        "read_server/planted.py": ["projector.settings"],
        "write_server/planted.py": ["cli.money"],
    },
    "contexts": {"contexts/planted/__init__.py": ["contexts.orders.events"]},
    "sides": {
        "contexts/orders/read/planted.py": [
            "contexts.orders.domain.order",
            "contexts.orders.fingerprint",
        ]
    },
    "sides-write": {
        "contexts/orders/write/planted.py": ["contexts.orders.read.orders"]
    },
    "pure": {
        "contexts/orders/domain/planted.py": ["time"],
        "contexts/orders/domain/planted_too.py": ["sqlalchemy"],
        "contexts/orders/domain/order.py": [
            "aiosqlite",
            "pathlib",
            "subprocess",
            "urllib.request",
        ],
        "contexts/orders/events.py": ["msgspec"],
        "contexts/orders/view.py": ["http.client", "io"],
    },
    "domain": {
        "contexts/orders/domain/order.py": ["eventcore.write_store"],
        "contexts/orders/domain/state.py": [
            "contexts.orders.fingerprint",
            "contexts.orders.schemas",
            "contexts.orders.wire.values",
        ],
    },
    "libraries": {
        "eventcore/command_gateway.py": ["grpc"],
        "eventcore/event_store.py": ["aiosqlite", "sqlalchemy"],
        "eventcore/process/planted.py": ["grpc"],
        "write_server/command_bus.py": ["grpc", "sqlalchemy"],
        "projector/runner.py": ["grpc", "sqlalchemy"],
        "read_server/consistency.py": ["grpc", "sqlalchemy"],
        "contexts/orders/write/handlers.py": ["grpc", "sqlalchemy"],
        "contexts/orders/read/orders.py": ["grpc"],
    },
    "stubs": {
        "write_server/planted_stub.py": ["orderes.v1.order_pb2"],
        "eventcore/planted_stub.py": ["orderes.v1.order_pb2"],
        "contexts/orders/read/planted_stub.py": ["orderes.v1.order_pb2"],
    },
    "client": {
        "contexts/orders/wire/planted_client.py": ["orderes.client.failure"],
        "eventcore/planted_client.py": ["orderes.client.failure"],
        "read_server/planted_client.py": ["orderes.client.failure"],
    },
    "client-alone": {
        "orderes/client/planted.py": ["msgspec", "sqlalchemy"],
        "orderes/client/failure.py": ["structlog"],
    },
    "adapters": {
        "write_server/planted_adapter.py": ["eventcore.memory.write_store"],
        "contexts/orders/read/planted_adapter.py": ["eventcore.sql.types"],
    },
    "ports": {
        "eventcore/log.py": ["eventcore.sql.types"],
        "eventcore/process/address.py": ["eventcore.rpc.call"],
    },
}
"""By the rule's id, what breaks it: files, and the imports that must not be in each."""


def rules() -> dict[str, Any]:
    """What the import linter is told."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return dict(settings["tool"]["importlinter"])


def root_packages() -> list[str]:
    """The packages that the rules are for."""
    return list(rules()["root_packages"])


def contracts() -> dict[str, str]:
    """The name of each rule, by its id."""
    return {contract["id"]: contract["name"] for contract in rules()["contracts"]}


def check_imports(folder: Path) -> str:
    """What the import linter says of the code in a folder."""
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


def planted() -> Iterator[tuple[str, str, str]]:
    """Every planted import: the rule that it breaks, the file, and the module."""
    for rule, violations in PLANTED.items():
        for path, modules in violations.items():
            for module in modules:
                yield rule, path, module


def import_named(path: str, imported: str, packages: Sequence[str]) -> str:
    """An import as the linter names it: of what is not ours, the package alone."""
    importer = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    package = imported.partition(".")[0]
    return f"{importer} -> {imported if package in packages else package} "


def told_of(rule: str, said: str) -> str:
    """What the linter says of one broken rule."""
    name = contracts()[rule]
    _, heading, rest = said.partition(f"\n{name}\n{'-' * len(name)}\n")
    assert heading, said
    return re.split(r"\n\S[^\n]*\n-{5,}\n", rest)[0]


@pytest.fixture
def copied_code(tmp_path: Path) -> Path:
    for package in root_packages():
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_rule_has_a_planted_violation() -> None:
    assert set(PLANTED) == set(contracts())


def test_the_code_keeps_every_rule(copied_code: Path) -> None:
    said = check_imports(copied_code)
    assert f"Contracts: {len(contracts())} kept, 0 broken." in said, said


def test_every_rule_breaks_on_its_violations(copied_code: Path) -> None:
    for _, path, module in planted():
        file = copied_code / path
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as code:
            code.write(f"\nimport {module}\n")
    said = check_imports(copied_code)
    assert f"Contracts: 0 kept, {len(contracts())} broken." in said, said
    packages = root_packages()
    for rule, path, module in planted():
        told = told_of(rule, said)
        assert import_named(path, module, packages) in told, (rule, path, module, told)
