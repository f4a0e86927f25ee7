"""What operators see of the read models, and how they pause, resume and roll back one."""

import json

import grpc
import pytest
from click.testing import CliRunner

from cli import output
from cli.__main__ import main
from orderes.v1.projection_admin_service_pb2 import (
    CancelRebuildRequest,
    CancelRebuildResponse,
    PauseProjectionRequest,
    PauseProjectionResponse,
    Projection,
    ProjectionState,
    ResumeProjectionRequest,
    ResumeProjectionResponse,
    RollBackProjectionRequest,
    RollBackProjectionResponse,
)
from tests.cli.projections import (
    OWNER,
    SHOWN_TIME,
    a_projection,
    a_rebuild,
    at_time,
    listed,
)
from tests.cli.scripted import Run, ScriptedServer, refusal, words_of
from tests.cli.terminal import COLUMNS, run_on_terminal, widest

NAMES = ("customer_summary", "order_events", "orders", "product_sales")
WHY = ("--reason", "because")


def a_failure(name: str = "orders") -> Projection:
    failed = a_projection(name, state="FAILED")
    failed.error = "OrderPraised, version 3, is not known to [red]this release[/red]"
    failed.error_position = 3_703_001
    return failed


def one_of_each() -> list[Projection]:
    """Everything that there is to show, with the longest names."""
    paused = a_projection("order_events", state="PAUSED")
    paused.pause_reason = "the disk [is] moved " * 20
    paused.pause_time.CopyFrom(at_time())
    rebuilding = a_rebuild()
    rebuilding.rebuild.falling_behind = True
    kept = a_projection("product_sales")
    kept.previous.generation = 2
    kept.previous.drop_time.CopyFrom(at_time())
    kept.comparison = "1,000 rows on both sides, 3 differ: [bold]p-1[/bold] " * 4
    kept.skipped_events.add(
        position=17, type="OrderPlaced", reason="[x] " * 100, skip_time=at_time()
    )
    kept.skipped_count = 1
    stalled = a_projection("sales_of_the_whole_year", state="STALLED")
    return [a_failure("customer_summary"), paused, rebuilding, kept, stalled]


def test_each_projection_is_a_row_that_fits_a_terminal(
    server: ScriptedServer, project: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", COLUMNS)
    server.answers["ListProjections"] = [listed(*map(a_projection, NAMES))]

    result = project()

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "Every projection runs."
    assert max(map(len, lines)) <= COLUMNS
    figures = ["RUNNING", "3,703,000", "701", "12.3", "s", "1,234"]
    assert [line.split() for line in lines if line.startswith(NAMES)] == [
        [name, *figures] for name in NAMES
    ]
    words = words_of(result)
    assert words.count(OWNER) == 1
    assert f"owner {OWNER} last heard of {SHOWN_TIME}" in words


def test_on_a_terminal_nothing_is_wider_than_it_and_no_name_is_taken_for_markup(
    server: ScriptedServer,
) -> None:
    strange = a_failure("[red]")
    server.answers["ListProjections"] = [listed(*one_of_each(), strange)]

    code, shown = run_on_terminal("projections", "--projector-address", server.address)

    assert code == 0
    assert widest(shown) <= COLUMNS
    words = " ".join(shown.split())
    assert "[red] FAILED" in words
    assert "is not known to [red]this release[/red]" in words
    assert "resume '[red]' \\" in words
    assert "the disk [is] moved" in words
    assert "3 differ: [bold]p-1[/bold]" in words


def test_a_line_that_is_broken_for_a_terminal_is_one_that_a_shell_joins(
    server: ScriptedServer, project: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", COLUMNS)
    server.answers["ListProjections"] = [listed(a_failure())]

    joined = project().output.replace("\\\n", "")

    (line,) = [line for line in joined.splitlines() if "--skip-position" in line]
    assert line.split()[1:] == [
        *("projections", "resume", "orders", "--skip-position", "3703001"),
        *("--projector-address", server.address, "--reason", "…"),
    ]


def test_a_projection_that_failed_is_told_with_its_cause_and_every_way_on(
    server: ScriptedServer, project: Run
) -> None:
    server.answers["ListProjections"] = [listed(a_projection("a"), a_failure())]

    words = words_of(project())

    at = f"--projector-address {server.address} --reason …"
    assert words.startswith("1 of 2 projections stands still.")
    assert (
        "stopped at position 3,703,001: OrderPraised, version 3, is not known" in words
    )
    assert f"projections resume orders {at}" in words
    assert f"projections resume orders --skip-position 3703001 {at}" in words
    assert f"projections rebuild orders {at}" in words


def test_what_stopped_on_no_event_is_not_offered_to_skip_one(
    server: ScriptedServer, project: Run
) -> None:
    failed = a_failure()
    failed.error = "the log is of another store"
    failed.error_position = 0
    server.answers["ListProjections"] = [listed(failed)]

    words = words_of(project())

    assert "stopped: the log is of another store" in words
    assert "--skip-position" not in words


def test_a_pause_is_told_with_its_reason_and_since_when(
    server: ScriptedServer, project: Run
) -> None:
    paused = a_projection(state="PAUSED")
    paused.pause_reason = "the disk [is] moved"
    paused.pause_time.CopyFrom(at_time())
    server.answers["ListProjections"] = [listed(paused)]

    words = words_of(project())

    assert f"paused since {SHOWN_TIME}: the disk [is] moved Go on:" in words
    assert "projections resume orders" in words


def test_a_projection_of_which_nobody_reports_tells_since_when(
    server: ScriptedServer, project: Run
) -> None:
    server.answers["ListProjections"] = [listed(a_projection(state="STALLED"))]

    words = words_of(project())

    assert f"no projector reports for it: last at {SHOWN_TIME}" in words
    assert "See whether the projector runs" in words


def test_a_rebuild_is_told_with_its_progress_and_that_it_falls_behind(
    server: ScriptedServer, project: Run
) -> None:
    rebuilding = a_rebuild()
    rebuilding.rebuild.falling_behind = True
    server.answers["ListProjections"] = [listed(rebuilding)]

    words = words_of(project())

    assert f"rebuild as generation 4, begun {SHOWN_TIME}: wrong totals" in words
    assert (
        "33 %, position 1,234,567 of 3,703,701, 12,345 events/s, 1:02:03 left" in words
    )
    assert "falling behind: events come in faster than they are replayed" in words
    assert "projections cancel orders" in words


def test_a_rebuild_that_stopped_is_told_with_what_may_be_done(
    server: ScriptedServer, project: Run
) -> None:
    stopped = a_rebuild()
    stopped.rebuild.error = "it broke"
    stopped.rebuild.error_position = 1_234_568
    server.answers["ListProjections"] = [listed(stopped)]

    words = words_of(project())

    assert "the rebuild has stopped at position 1,234,568: it broke" in words
    assert "projections resume orders --skip-position 1234568" in words
    assert "projections cancel orders" in words


def test_a_projection_that_does_not_serve_yet_has_no_position(
    server: ScriptedServer, project: Run
) -> None:
    made = a_rebuild(generation=1)
    made.generation = made.position = 0
    made.ClearField("lag")
    server.answers["ListProjections"] = [listed(made)]

    lines = project().output.splitlines()

    assert any(
        line.split() == ["orders", "REBUILDING", "-", "-", "-", "1,234"]
        for line in lines
    )


def test_what_is_complete_has_a_lag_below_what_is_measured(
    server: ScriptedServer, project: Run
) -> None:
    complete = a_projection()
    complete.lag.FromSeconds(0)
    complete.events_per_second = 0.25
    server.answers["ListProjections"] = [listed(complete)]

    assert "3,703,000 701 < 2 s 0.2" in words_of(project())


def test_the_generation_before_its_comparison_and_what_was_left_out_are_told(
    server: ScriptedServer, project: Run
) -> None:
    kept = a_projection()
    kept.previous.generation = 2
    kept.previous.drop_time.CopyFrom(at_time())
    kept.comparison = "1,000 rows on both sides, all the same"
    for position in range(1, 8):
        kept.skipped_events.add(
            position=position, type="OrderPlaced", reason="old", skip_time=at_time()
        )
    kept.skipped_count = 1007
    server.answers["ListProjections"] = [listed(kept)]

    words = words_of(project())

    assert f"generation 2 is kept until {SHOWN_TIME}; go back to it:" in words
    assert "projections rollback orders" in words
    assert "1,007 events were left out:" in words
    assert f"position 5, OrderPlaced, on {SHOWN_TIME}: old" in words
    assert "position 6" not in words
    assert "… and 1,002 more; see --json" in words
    assert "1,000 rows on both sides, all the same" in words


def test_a_generation_that_has_stopped_is_not_offered_to_go_back_to(
    server: ScriptedServer, project: Run
) -> None:
    kept = a_projection()
    kept.previous.generation = 2
    kept.previous.error = "it broke"
    server.answers["ListProjections"] = [listed(kept)]

    words = words_of(project())

    assert "generation 2 is kept, but has stopped: it broke" in words
    assert "rollback" not in words


def test_several_owners_are_told_apart(server: ScriptedServer, project: Run) -> None:
    other = a_projection("orders")
    other.owner = "projector-2"
    nobody = a_projection("product_sales")
    nobody.owner = ""
    nobody.ClearField("heartbeat_time")
    server.answers["ListProjections"] = [listed(a_projection("a"), other, nobody)]

    words = words_of(project())

    assert f"owner {OWNER} of a last heard of {SHOWN_TIME}" in words
    assert f"owner projector-2 of orders last heard of {SHOWN_TIME}" in words
    assert "owner none of product_sales last heard of never" in words


def test_a_state_of_a_newer_projector_is_shown_by_its_number(
    server: ScriptedServer, project: Run
) -> None:
    newer = a_projection()
    newer.state = 99  # type: ignore[assignment]
    server.answers["ListProjections"] = [listed(newer)]

    assert "orders OTHER (99)" in words_of(project())


def test_what_would_steer_the_terminal_is_left_out_of_an_error(
    server: ScriptedServer, project: Run
) -> None:
    failed = a_failure()
    failed.error = "first line\nsecond \x1b[31mline\x07"
    server.answers["ListProjections"] = [listed(failed)]

    output_ = project().output

    assert "\x1b" not in output_
    assert "\x07" not in output_
    assert "    first line\n    second  [31mline" in output_


def test_where_there_are_no_projections_it_is_said(
    server: ScriptedServer, project: Run
) -> None:
    server.answers["ListProjections"] = [listed()]

    assert project().output == "No projections.\n"


def test_the_projections_as_json_are_the_message(
    server: ScriptedServer, project: Run
) -> None:
    server.answers["ListProjections"] = [listed(a_failure())]

    (shown,) = json.loads(project("--json").stdout)["projections"]

    assert shown["state"] == "PROJECTION_STATE_FAILED"
    assert shown["error_position"] == "3703001"
    assert shown["pause_reason"] == ""


def test_a_pause_is_sent_with_its_reason_and_the_state_after_it_is_shown(
    server: ScriptedServer, project: Run
) -> None:
    paused = a_projection("[b]", state="PAUSED")
    paused.pause_reason = "because"
    server.answers["PauseProjection"] = [PauseProjectionResponse(projection=paused)]

    result = project("pause", "[b]", *WHY)

    sent = PauseProjectionRequest.FromString(server.requests["PauseProjection"][0])
    assert (sent.name, sent.reason) == ("[b]", "because")
    words = words_of(result)
    assert words.startswith("[b] is paused.")
    assert "[b] PAUSED 3,703,000" in words
    assert "projections resume '[b]'" in words


@pytest.mark.parametrize(
    ("flags", "position", "said"),
    [
        ((), 0, "orders goes on."),
        (
            ("--skip-position", "17000"),
            17_000,
            "orders goes on without the event at position 17,000.",
        ),
    ],
)
def test_a_projection_goes_on_with_its_event_or_without(
    server: ScriptedServer,
    project: Run,
    flags: tuple[str, ...],
    position: int,
    said: str,
) -> None:
    running = ResumeProjectionResponse(projection=a_projection())
    server.answers["ResumeProjection"] = [running]

    words = words_of(project("resume", "orders", *flags, *WHY))

    sent = ResumeProjectionRequest.FromString(server.requests["ResumeProjection"][0])
    assert (sent.name, sent.skip_position, sent.reason) == (
        "orders",
        position,
        "because",
    )
    assert words.startswith(said)
    assert "orders RUNNING 3,703,000" in words


def test_a_rebuild_is_given_up(server: ScriptedServer, project: Run) -> None:
    server.answers["CancelRebuild"] = [CancelRebuildResponse(projection=a_projection())]

    words = words_of(project("cancel", "orders", *WHY))

    sent = CancelRebuildRequest.FromString(server.requests["CancelRebuild"][0])
    assert (sent.name, sent.reason) == ("orders", "because")
    assert words.startswith("The rebuild of orders is given up.")
    assert "orders RUNNING" in words


def test_a_projection_is_rolled_back_to_the_generation_before(
    server: ScriptedServer, project: Run
) -> None:
    back = RollBackProjectionResponse(projection=a_projection(generation=2))
    server.answers["RollBackProjection"] = [back]

    words = words_of(project("rollback", "orders", *WHY))

    sent = RollBackProjectionRequest.FromString(
        server.requests["RollBackProjection"][0]
    )
    assert (sent.name, sent.reason) == ("orders", "because")
    assert words.startswith("Generation 2 of orders serves again.")
    assert "orders RUNNING" in words


def test_a_change_as_json_is_the_message(server: ScriptedServer, project: Run) -> None:
    paused = PauseProjectionResponse(projection=a_projection(state="PAUSED"))
    server.answers["PauseProjection"] = [paused]

    result = project("--json", "pause", "orders", *WHY)

    assert json.loads(result.stdout)["projection"]["state"] == "PROJECTION_STATE_PAUSED"


@pytest.mark.parametrize("word", ["pause", "resume", "rebuild", "cancel", "rollback"])
def test_every_change_needs_a_name_and_a_reason(word: str) -> None:
    runner = CliRunner()

    assert runner.invoke(main, ["projections", word, "orders"]).exit_code == 2
    assert runner.invoke(main, ["projections", word, *WHY]).exit_code == 2


def test_a_position_that_there_is_not_cannot_be_skipped(project: Run) -> None:
    result = project("resume", "orders", "--skip-position", "0", *WHY)

    assert result.exit_code == 2


def test_the_address_may_stand_before_the_command_or_come_from_the_environment(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["ListProjections"] = [listed(a_projection())]
    answer = PauseProjectionResponse(projection=a_projection())
    server.answers["PauseProjection"] = [answer]
    before = ["projections", "--projector-address", server.address]

    assert CliRunner().invoke(main, [*before, "pause", "a", *WHY]).exit_code == 0
    monkeypatch.setenv("ORDERES_PROJECTOR_ADDRESS", server.address)
    assert CliRunner().invoke(main, ["projections"]).exit_code == 0


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("PROJECTION_NOT_FOUND", "projections` names those that there are"),
        ("WRONG_PROJECTION_STATE", "projections` shows what it is doing"),
    ],
)
def test_a_refusal_says_where_to_look(
    server: ScriptedServer, project: Run, reason: str, step: str
) -> None:
    server.answers["PauseProjection"] = [
        refusal(grpc.StatusCode.FAILED_PRECONDITION, "no", reason=reason)
    ]

    result = project("pause", "orders", *WHY)

    assert result.exit_code == 1
    assert step in " ".join(result.stderr.split())


def test_a_wrong_field_is_named_with_what_it_is_typed_with(
    server: ScriptedServer, project: Run
) -> None:
    server.answers["ResumeProjection"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields: name, skip_position",
            reason="INVALID_FIELDS",
            fields={"name": "is too long", "skip_position": "is negative"},
        )
    ]

    words = " ".join(project("resume", "x", *WHY).stderr.split())

    assert "NAME name is too long" in words
    assert "--skip-position skip_position is negative" in words


def test_where_nobody_is_a_projector_it_is_said_how_to_name_one(
    server: ScriptedServer, project: Run
) -> None:
    result = project()

    words = " ".join(result.stderr.split())
    assert result.exit_code == 1
    assert f"what listens at {server.address} is another service" in words
    assert "with --projector-address" in words


def test_every_state_of_the_contract_is_shown_by_its_name(
    server: ScriptedServer, project: Run
) -> None:
    names = [
        name.removeprefix("PROJECTION_STATE_")
        for name in ProjectionState.keys()  # noqa: SIM118 - It is no dict.
    ]
    server.answers["ListProjections"] = [
        listed(*(a_projection(f"p-{name}", state=name) for name in names))
    ]

    words = words_of(project())

    assert [name for name in names if f"p-{name} {name}" not in words] == []
