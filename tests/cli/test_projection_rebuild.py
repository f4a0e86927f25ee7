"""A rebuild is begun, followed until it serves, and left alone by who only watched it."""

import json
import signal
from contextlib import ExitStack

import grpc
import pytest
from google.rpc import status_pb2

from cli.projections import following, progress
from orderes.v1.projection_admin_service_pb2 import (
    Projection,
    RebuildProjectionRequest,
    RebuildProjectionResponse,
)
from tests.cli.projections import (
    SHOWN_TIME,
    a_projection,
    a_rebuild,
    at_time,
    listed,
)
from tests.cli.scripted import (
    Run,
    ScriptedServer,
    refusal,
    scripted_server,
    words_of,
)
from tests.cli.terminal import COLUMNS, run_on_terminal, widest
from tests.support.processes import start_module, wait_until

REBUILD = ("rebuild", "orders", "--reason", "wrong totals")
AWAY = refusal(grpc.StatusCode.UNAVAILABLE, "draining", reason="SHUTTING_DOWN")
SECONDS_MAX = 20.0


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)


def done(name: str = "orders") -> Projection:
    """The projection when the new generation serves."""
    serving = a_projection(name, generation=4)
    serving.comparison = "1,000 rows on both sides, all the same"
    serving.previous.generation = 3
    serving.previous.drop_time.CopyFrom(at_time())
    return serving


def script(
    server: ScriptedServer, *answers: Projection | status_pb2.Status
) -> ScriptedServer:
    """The rebuild begins, and is then seen like this, one after the other."""
    server.answers["RebuildProjection"] = [
        RebuildProjectionResponse(projection=a_rebuild(progress=0))
    ]
    server.answers["ListProjections"] = [
        listed(a_projection("order_events"), answer)
        if isinstance(answer, Projection)
        else answer
        for answer in answers
    ]
    return server


def errors_of(run: Run, *words: str) -> str:
    return " ".join(run(*words).stderr.split())


def test_a_rebuild_is_followed_until_the_new_generation_serves(
    server: ScriptedServer, project: Run
) -> None:
    script(server, a_rebuild(progress=0.2), a_rebuild(progress=0.9), done())

    result = project(*REBUILD)

    sent = RebuildProjectionRequest.FromString(server.requests["RebuildProjection"][0])
    assert (sent.name, sent.reason) == ("orders", "wrong totals")
    assert result.exit_code == 0
    assert len(server.requests["ListProjections"]) == 3
    words = " ".join(result.stdout.split())
    assert words.startswith("Generation 4 of orders serves.")
    assert "orders RUNNING 3,703,000" in words
    assert "1,000 rows on both sides, all the same" in words
    assert f"generation 3 is kept until {SHOWN_TIME}; go back to it:" in words
    assert "order_events" not in words


def test_on_a_pipe_its_progress_is_a_plain_line_now_and_then(
    server: ScriptedServer, project: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(server, *(a_rebuild(progress=done_ / 10) for done_ in range(10)), done())
    line = "orders: 0 %, position 1,234,567 of 3,703,701, 12,345 events/s, 1:02:03 left"

    monkeypatch.setattr(progress, "LINE_SECONDS", 3600.0)
    assert project(*REBUILD).stderr.splitlines() == [line]

    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    script(server, a_rebuild(progress=0.999), done())
    lines = project(*REBUILD).stderr.splitlines()
    assert [text.partition(",")[0] for text in lines] == [
        "orders: 0 %",
        "orders: 99 %",
        "orders: 100 %",
    ]


def test_on_a_terminal_it_is_a_bar_that_fits_it(server: ScriptedServer) -> None:
    falling = a_rebuild(progress=0.5)
    falling.rebuild.falling_behind = True
    script(server, falling, done())

    code, shown = run_on_terminal(
        "projections", *REBUILD, "--projector-address", server.address
    )

    assert code == 0
    assert widest(shown) <= COLUMNS
    words = " ".join(shown.split())
    assert "orders ━━" in words
    assert "50 %" in words
    assert "position 1,234,567 of 3,703,701, 12,345 events/s, 1:02:03 left" in words
    assert "falling behind: events come in faster than they are replayed" in words
    assert "100 % it serves Generation 4 of orders serves." in words


def test_who_does_not_wait_is_told_how_to_follow_it_and_how_to_give_it_up(
    server: ScriptedServer, project: Run
) -> None:
    script(server, done())

    result = project(*REBUILD, "--no-wait")

    words = words_of(result)
    assert result.exit_code == 0
    assert not server.requests["ListProjections"]
    assert words.startswith("The rebuild of orders is under way.")
    assert "orders REBUILDING 3,703,000" in words
    assert f"Follow it: {_program(words)} projections --projector-address" in words
    assert "projections cancel orders" in words


def _program(words: str) -> str:
    return words.partition("Follow it: ")[2].split()[0]


def test_as_json_the_answer_is_the_projection_as_it_is_in_the_end(
    server: ScriptedServer, project: Run
) -> None:
    script(server, a_rebuild(), done())

    result = project(*REBUILD, "--json")
    at_once = project(*REBUILD, "--json", "--no-wait")

    assert json.loads(result.stdout)["projection"]["generation"] == 4
    assert json.loads(at_once.stdout)["projection"]["rebuild"]["generation"] == 4


def test_a_rebuild_that_has_ended_before_it_is_looked_at_serves(
    server: ScriptedServer, project: Run
) -> None:
    script(server, done())
    server.answers["RebuildProjection"] = [RebuildProjectionResponse(projection=done())]

    assert project(*REBUILD).exit_code == 0


def test_a_rebuild_that_stops_is_told_with_its_cause_and_what_to_do(
    server: ScriptedServer, project: Run
) -> None:
    stopped = a_rebuild()
    stopped.rebuild.error = "it [broke]"
    stopped.rebuild.error_position = 1_234_568
    script(server, a_rebuild(), stopped)

    result = project(*REBUILD)

    words = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert words.startswith("The rebuild of orders has stopped.")
    assert "stopped at position 1,234,568: it [broke]" in words
    assert "projections resume orders --skip-position 1234568" in words


def test_a_rebuild_that_falls_behind_is_told_once_with_what_to_do_and_waited_for(
    server: ScriptedServer, project: Run
) -> None:
    falling = a_rebuild()
    falling.rebuild.falling_behind = True
    script(server, falling, a_rebuild(), falling, falling, done())

    result = project(*REBUILD)

    assert result.exit_code == 0
    words = " ".join(result.stderr.split())
    assert words.count("It gets there when fewer come in; or give it up:") == 1
    assert "falling behind: events come in faster than they are replayed" in words
    assert "projections cancel orders" in words


def test_a_rebuild_that_is_paused_is_waited_for_and_says_why(
    server: ScriptedServer, project: Run
) -> None:
    paused = a_rebuild()
    paused.pause_reason = "the disk [is] moved"
    script(server, paused, done())

    words = errors_of(project, *REBUILD)

    assert "paused: the disk [is] moved Go on:" in words
    assert "projections resume orders" in words


def test_a_rebuild_that_somebody_gave_up_is_no_success(
    server: ScriptedServer, project: Run
) -> None:
    script(server, a_rebuild(), a_projection())

    result = project(*REBUILD)

    assert result.exit_code == 1
    assert "is not under way any more: somebody has given it up" in words_of(result)


def test_another_rebuild_than_the_one_that_is_followed_is_not_taken_for_it(
    server: ScriptedServer, project: Run
) -> None:
    script(server, a_rebuild(), a_rebuild(generation=5))

    assert project(*REBUILD).exit_code == 1


def test_a_projector_that_goes_away_is_asked_again(
    server: ScriptedServer, project: Run
) -> None:
    script(server, a_rebuild(), AWAY, AWAY, AWAY, a_rebuild(), AWAY, done())

    result = project(*REBUILD)

    assert result.exit_code == 0
    assert len(server.requests["ListProjections"]) == 7


def test_while_it_is_away_that_is_what_is_shown(
    server: ScriptedServer, project: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    script(server, AWAY, done())

    words = errors_of(project, *REBUILD)

    assert "orders: 0 %, the projector does not answer (UNAVAILABLE)" in words


def test_a_projector_that_stays_away_is_not_asked_for_ever(
    server: ScriptedServer, project: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "AWAY_SECONDS_MAX", 0.0)
    script(server, a_rebuild(), AWAY)

    result = project(*REBUILD)

    assert result.exit_code == 1
    words = " ".join(result.stderr.split())
    assert "How it ends is not known; a rebuild outlasts its projector." in words
    assert "Refused UNAVAILABLE · SHUTTING_DOWN" in words


def test_a_refusal_that_does_not_pass_is_not_asked_again(
    server: ScriptedServer, project: Run
) -> None:
    broken = refusal(grpc.StatusCode.INTERNAL, "a fault", reason="INTERNAL")
    script(server, a_rebuild(), broken)

    assert project(*REBUILD).exit_code == 1
    assert len(server.requests["ListProjections"]) == 2


def test_a_rebuild_that_cannot_begin_is_not_followed(
    server: ScriptedServer, project: Run
) -> None:
    script(server, done())
    server.answers["RebuildProjection"] = [
        refusal(
            grpc.StatusCode.FAILED_PRECONDITION,
            "there is one under way",
            reason="WRONG_PROJECTION_STATE",
        )
    ]

    assert project(*REBUILD).exit_code == 1
    assert not server.requests["ListProjections"]


def test_an_interrupt_leaves_the_rebuild_running_and_says_so() -> None:
    with scripted_server() as server:
        script(server, a_rebuild())
        address = ("--projector-address", server.address)
        with start_module("cli", "projections", *REBUILD, *address) as process:
            wait_until(
                lambda: bool(server.requests["ListProjections"]),
                seconds_max=SECONDS_MAX,
                what="it is followed",
            )
            process.popen.send_signal(signal.SIGINT)
            code = process.wait(seconds_max=SECONDS_MAX)
            words = " ".join(process.errors.split())

    assert code == 1
    assert process.output == ""
    assert "The rebuild goes on; only the wait for it has ended." in words
    assert "Follow it:" in words
    assert "projections cancel orders" in words
    assert "Traceback" not in words


def test_a_projector_that_is_killed_and_comes_back_is_found_again() -> None:
    with ExitStack() as stack:
        with scripted_server() as server:
            script(server, a_rebuild())
            address = server.address
            words = (*REBUILD, "--projector-address", address)
            process = stack.enter_context(start_module("cli", "projections", *words))
            wait_until(
                lambda: bool(server.requests["ListProjections"]),
                seconds_max=SECONDS_MAX,
                what="it is followed",
            )
        with scripted_server(address) as server:
            script(server, a_rebuild(progress=0.9), done())
            code = process.wait(seconds_max=SECONDS_MAX)

    assert code == 0
    assert "Generation 4 of orders serves." in process.output
