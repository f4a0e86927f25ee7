"""What `orderes verify` says of what was found."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.__main__ import main
from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.generations import Role, Skip
from projector.verification import OnProgress, Report, Verified

STORE_ID = "01900000-0000-7000-8000-000000000000"
SKIP = Skip(
    position=7,
    event_id="01900000-0000-7000-8000-000000000007",
    event_type="OrderPlaced",
    reason="no [bold]such[/bold] product",
    time=1,
)


def a_report(
    *findings: str, unsettled: tuple[str, ...] = (), notes: tuple[str, ...] = ()
) -> Report:
    verified = Verified(
        projection="orders",
        generation=3,
        version=2,
        role=Role.SERVING.value,
        position=1_234,
        rows=5_678,
        skips=(SKIP,),
    )
    return Report(
        store_id=STORE_ID,
        events=1_234,
        findings=list(findings),
        findings_total=len(findings),
        unsettled=list(unsettled),
        notes=list(notes),
        verified=[verified],
    )


def told(
    monkeypatch: pytest.MonkeyPatch, found: Report | Exception, *words: str
) -> Result:
    """Runs it where that is found."""

    def found_there(
        data_dir: Path, *, scratch_dir: Path | None, on_progress: OnProgress
    ) -> Report:
        assert (data_dir, scratch_dir) == (Path("elsewhere"), None)
        on_progress("the log", 617, 1_234)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("cli.verify.verify_stores", found_there)
    return CliRunner().invoke(main, ["verify", "--data-dir", "elsewhere", *words])


def test_what_is_sound_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    result = told(monkeypatch, a_report())
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "Everything is as it should be."
    assert f"store {STORE_ID}" in lines
    assert "events 1,234" in lines
    assert "orders 3 serving 1,234 5,678" in lines


def test_what_operators_had_left_out_is_listed_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = " ".join(told(monkeypatch, a_report()).stdout.split())
    assert (
        "Left out by operators: orders, generation 3: position 7, OrderPlaced "
        f"{SKIP.event_id}: no [bold]such[/bold] product"
    ) in words


def test_each_finding_is_named_and_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = ("the log: position 3 is missing", "orders: order [x] is wrong")
    result = told(monkeypatch, a_report(*found, notes=("product_sales was behind",)))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:3] == ["2 findings", *(f"  {finding}" for finding in found)]
    assert "  product_sales was behind" in lines


def test_one_finding_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    result = told(monkeypatch, a_report("the log: position 3 is missing"))
    assert result.stdout.startswith("1 finding\n")


def test_what_was_not_verified_or_has_stopped_is_no_good_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = a_report(unsettled=("orders has [x] stopped",))
    result = told(monkeypatch, report)
    assert result.exit_code == 1
    assert "Everything is as it should be" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        "Nothing wrong was found, but not everything was verified or goes on.",
        "",
        "Not verified, or stopped:",
        "  orders has [x] stopped",
    ]
    as_json = told(monkeypatch, report, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["unsettled"] == ["orders has [x] stopped"]


def test_beside_findings_it_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    report = a_report("a difference", unsettled=("orders has stopped",))
    result = told(monkeypatch, report)
    assert result.exit_code == 1
    assert result.stdout.startswith("1 finding\n  a difference\n")
    assert "Not verified, or stopped:\n  orders has stopped\n" in result.stdout


def test_what_is_only_to_be_known_is_no_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = told(monkeypatch, a_report(notes=("orders is being made",)))
    assert result.exit_code == 0
    assert result.stdout.startswith("Everything is as it should be.\n")
    assert "To be known:\n  orders is being made\n" in result.stdout


def test_json_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = told(monkeypatch, a_report("a difference"), "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["findings"] == ["a difference"]
    (verified,) = report["verified"]
    assert (verified["projection"], verified["rows"]) == ("orders", 5_678)
    assert verified["skips"][0]["position"] == 7


def test_where_there_is_nothing_to_verify_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = told(monkeypatch, StoreUnavailable("the write store is not made yet"))
    assert result.exit_code == 78
    assert result.stderr == "orderes verify: the write store is not made yet\n"
    assert result.stdout == ""


def test_a_scratch_directory_that_is_full_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = "cannot verify with the scratch directory /small: database or disk is full"
    result = told(monkeypatch, StartFailed(words))
    assert result.exit_code == 78
    assert (result.stdout, result.stderr) == ("", f"orderes verify: {words}\n")


def test_a_folder_without_a_store_is_told_as_that(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["verify", "--data-dir", str(tmp_path)])
    assert result.exit_code == 78
    assert result.stderr.startswith("orderes verify: ")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
