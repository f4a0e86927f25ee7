"""Every import rule breaks on a violation that is planted in a copy of the code."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED: Mapping[str, Mapping[str, str]] = {
    "layers": {
        "eventcore/planted.py": "import contexts.orders.events",
        "contexts/planted_layer.py": "import write_server.lanes",
        "projector/planted.py": "import write_server.lanes",
        "read_server/planted.py": "import projector.settings",
        "write_server/planted.py": "import cli.money",
    },
    "contexts": {"contexts/planted/__init__.py": "import contexts.orders.events"},
    "sides": {"contexts/orders/read/planted.py": "import contexts.orders.domain.order"},
    "sides-write": {
        "contexts/orders/write/planted.py": "import contexts.orders.read.tables"
    },
    "pure": {
        "contexts/orders/domain/planted.py": "import time",
        "contexts/orders/domain/planted_too.py": "import sqlalchemy",
    },
    "stubs": {
        "write_server/planted_stub.py": "import orderes.v1.order_pb2",
        "eventcore/planted_stub.py": "import orderes.v1.order_pb2",
        "contexts/orders/read/planted_stub.py": "import orderes.v1.order_pb2",
    },
    "adapters": {
        "write_server/planted_adapter.py": "import eventcore.memory.write_store",
        "contexts/orders/read/planted_adapter.py": "import eventcore.sql.types",
    },
    "ports": {
        "eventcore/log.py": "import eventcore.sql.types",
        "eventcore/process/address.py": "import eventcore.rpc.call",
    },
}
"""By the rule's id, what breaks it: files, and the import that must not be in each."""


def contracts() -> dict[str, str]:
    """The name of each rule, by its id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {
        contract["id"]: contract["name"]
        for contract in settings["tool"]["importlinter"]["contracts"]
    }


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


def import_named(path: str, line: str) -> str:
    """An import as the linter names it."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module} -> {line.removeprefix('import ')} "


@pytest.fixture
def copied_code(tmp_path: Path) -> Path:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in settings["tool"]["importlinter"]["root_packages"]:
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
    for violations in PLANTED.values():
        for path, line in violations.items():
            planted = copied_code / path
            planted.parent.mkdir(exist_ok=True)
            with planted.open("a") as file:
                file.write(f"\n{line}\n")
    said = check_imports(copied_code)
    assert f"Contracts: 0 kept, {len(contracts())} broken." in said, said
    for violations in PLANTED.values():
        for path, line in violations.items():
            assert import_named(path, line) in said, said
