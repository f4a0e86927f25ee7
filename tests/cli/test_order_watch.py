"""Events are shown as they happen, without a gap and without a repetition."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from threading import Event
from typing import NamedTuple

import grpc
import pytest

from cli import output, watching
from cli.client import Server
from cli.watching import Watching
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.type.v1.money_pb2 import Money
from orderes.v1.query_service_pb2 import (
    WatchMark,
    WatchOrdersRequest,
    WatchOrdersResponse,
)
from tests.cli.scripted import (
    Run,
    ScriptedServer,
    Step,
    refusal,
    scripted_server,
    words_of,
)
from tests.cli.terminal import COLUMNS
from tests.support.processes import (
    StartedProcess,
    free_address,
    start_module,
    wait_until,
)

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
STORE_ID = "0190a6b2-0000-7000-8000-000000000001"
AWAY = refusal(grpc.StatusCode.UNAVAILABLE, "draining", reason="SHUTTING_DOWN")
REFUSED = refusal(
    grpc.StatusCode.FAILED_PRECONDITION, "another store", reason="STORE_MISMATCH"
)
"""Ends a watch: it does not pass by itself."""
SECONDS_MAX = 20.0


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BACKOFF_SECONDS_MIN", 0.001)


def a_mark(position: int, *, caught_up: bool = False) -> WatchOrdersResponse:
    mark = WatchMark(position=position, caught_up=caught_up, store_id=STORE_ID)
    return WatchOrdersResponse(mark=mark)


def an_event(position: int) -> WatchOrdersResponse:
    event = RecordedEvent(
        type="PaymentReceived",
        order_id=ORDER_ID,
        order_version=position - 1,
        position=position,
    )
    event.record_time.FromJsonString("2026-11-23T09:00:00Z")
    event.payment_received.payment_id = "[b]p-1"
    amount = Money(currency_code="EUR", minor_units=1999)
    event.payment_received.amount.CopyFrom(amount)
    return WatchOrdersResponse(event=event)


def requests_of(server: ScriptedServer) -> list[WatchOrdersRequest]:
    return [
        WatchOrdersRequest.FromString(request)
        for request in server.requests["WatchOrders"]
    ]


class Watched(NamedTuple):
    """What a watch that the server ends has put out."""

    stdout: str
    stderr: str
    requests: list[WatchOrdersRequest]


def watch(
    server: ScriptedServer, run: Run, *streams: list[Step], flags: tuple[str, ...] = ()
) -> Watched:
    server.streams["WatchOrders"] = list(streams)
    result = run("watch", *flags)
    assert result.exit_code == 1
    assert "STORE_MISMATCH" in result.stderr
    return Watched(
        stdout=result.stdout,
        stderr=" ".join(result.stderr.split()),
        requests=requests_of(server),
    )


def test_what_is_typed_is_what_is_asked_for(server: ScriptedServer, run: Run) -> None:
    flags = (
        *("--after-position", "41", "--order", ORDER_ID, "--order", "o-2"),
        *("--customer", "c-1", "--type", "OrderPlaced", "--mark-seconds", "2.5"),
        *("--store-id", STORE_ID, "--correlation-id", "flow-1"),
    )

    (request,) = watch(server, run, [REFUSED], flags=flags).requests

    assert request.after_position == 41
    assert list(request.order_ids) == [ORDER_ID, "o-2"]
    assert request.customer_id == "c-1"
    assert list(request.event_types) == ["OrderPlaced"]
    assert request.checkpoint_interval.ToMilliseconds() == 2500
    assert request.store_id == STORE_ID
    assert server.metadata["x-correlation-id"] == "flow-1"
    assert server.seconds_left > 1e6  # It has no deadline.


@pytest.mark.parametrize(
    ("flags", "position"),
    [((), None), (("--from-start",), 0), (("--after-position", "0"), 0)],
)
def test_a_watch_begins_with_what_is_new_unless_it_is_told_otherwise(
    server: ScriptedServer, run: Run, flags: tuple[str, ...], position: int | None
) -> None:
    (request,) = watch(server, run, [REFUSED], flags=flags).requests

    begins = request.after_position if request.HasField("after_position") else None
    assert begins == position


def test_on_a_pipe_an_event_is_a_line(server: ScriptedServer, run: Run) -> None:
    watched = watch(server, run, [a_mark(7), an_event(8), an_event(123), REFUSED])

    told = "PaymentReceived  19.99 EUR with [b]p-1"
    assert watched.stdout.splitlines() == [
        f"       8  2026-11-23 09:00:00  {ORDER_ID}  v7  {told}",
        f"     123  2026-11-23 09:00:00  {ORDER_ID}  v122  {told}",
    ]


def test_on_a_narrow_terminal_an_event_has_lines_that_fit_it(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", COLUMNS)
    long = an_event(12_345_678)
    long.event.payment_received.payment_id = "payment " * 15

    watched = watch(server, run, [a_mark(7), an_event(8), long, REFUSED])

    lines = watched.stdout.splitlines()
    assert lines[:2] == [
        f"       8  2026-11-23 09:00:00  {ORDER_ID}  v7",
        "          PaymentReceived  19.99 EUR with [b]p-1",
    ]
    assert len(lines) == 6
    assert max(map(len, lines)) <= COLUMNS


def test_an_event_of_a_newer_release_is_shown_by_its_type(
    server: ScriptedServer, run: Run
) -> None:
    newer = WatchOrdersResponse(event=RecordedEvent(type="OrderPraised", position=8))

    watched = watch(server, run, [a_mark(7), WatchOrdersResponse(), newer, REFUSED])

    assert watched.stdout.endswith("  OrderPraised\n")


def test_that_the_past_has_ended_is_told_once_and_beside_the_events(
    server: ScriptedServer, run: Run
) -> None:
    stream: list[Step] = [
        a_mark(0),
        an_event(8),
        a_mark(8, caught_up=True),
        an_event(9),
        a_mark(9, caught_up=True),
        REFUSED,
    ]

    watched = watch(server, run, stream)

    assert watched.stderr.startswith("caught up at position 8 Seen up to position 9.")
    assert "caught up" not in watched.stdout


def test_as_json_every_message_is_a_line_marks_too(
    server: ScriptedServer, run: Run
) -> None:
    server.streams["WatchOrders"] = [
        [a_mark(7, caught_up=True), an_event(8), a_mark(8), REFUSED]
    ]

    result = run("watch", "--json")

    first, event, mark = map(json.loads, result.stdout.splitlines())
    assert first == {"mark": {"position": "7", "caught_up": True, "store_id": STORE_ID}}
    assert event["event"]["position"] == "8"
    assert event["event"]["actor"] == ""
    assert mark["mark"]["caught_up"] is False
    assert json.loads(result.stderr)["message"] == "another store"


def test_a_watch_goes_on_after_the_event_that_it_has_come_to(
    server: ScriptedServer, run: Run
) -> None:
    watched = watch(
        server,
        run,
        [a_mark(7), an_event(8), AWAY],
        [AWAY],
        [a_mark(8), an_event(9), REFUSED],
        flags=("--customer", "c-1"),
    )

    assert [line.split()[0] for line in watched.stdout.splitlines()] == ["8", "9"]
    assert [
        (request.after_position, request.store_id, request.customer_id)
        for request in watched.requests
    ] == [(0, "", "c-1"), (8, STORE_ID, "c-1"), (8, STORE_ID, "c-1")]
    assert not watched.requests[0].HasField("after_position")
    assert watched.stderr.startswith(
        "the stream broke after position 8 (SHUTTING_DOWN: draining); connecting again "
        "connected again, going on after position 8 "
    )
    assert watched.stderr.count("broke") == 1


def test_a_watch_goes_on_after_the_mark_that_it_has_come_to(
    server: ScriptedServer, run: Run
) -> None:
    watched = watch(server, run, [a_mark(7), an_event(8), a_mark(500), AWAY], [REFUSED])

    assert watched.requests[1].after_position == 500


def test_a_stream_that_the_server_just_ends_is_opened_again(
    server: ScriptedServer, run: Run
) -> None:
    watched = watch(server, run, [a_mark(7)], [REFUSED])

    assert len(watched.requests) == 2
    assert "the stream broke after position 7; connecting again" in watched.stderr


def test_a_server_with_too_many_watches_is_asked_again(
    server: ScriptedServer, run: Run
) -> None:
    full = refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "1000 streams",
        reason="TOO_MANY_CALLS",
        retry_seconds=0.001,
    )

    watched = watch(server, run, [a_mark(7), full], [full], [REFUSED])

    assert len(watched.requests) == 3


def test_a_server_that_never_answered_is_not_waited_for(
    server: ScriptedServer, run: Run
) -> None:
    nobody = refusal(grpc.StatusCode.UNAVAILABLE, "connection refused", reason="")
    server.streams["WatchOrders"] = [[nobody]]

    result = run("watch", "--from-start")

    assert result.exit_code == 1
    assert len(requests_of(server)) == 5  # As often as any other call.
    assert "Start one with" in words_of(result)
    assert "Seen up to" not in words_of(result)


def test_a_watch_that_is_refused_says_from_where_on_nothing_was_seen(
    server: ScriptedServer, run: Run
) -> None:
    watched = watch(server, run, [a_mark(7), an_event(8), REFUSED])

    assert "Seen up to position 8. Go on from there:" in watched.stderr
    assert f"order watch --after-position 8 --store-id {STORE_ID}" in watched.stderr
    assert "leave --store-id and the position out" in watched.stderr


def test_a_position_beyond_the_newest_is_told_with_what_to_give(
    server: ScriptedServer, run: Run
) -> None:
    server.streams["WatchOrders"] = [
        [
            refusal(
                grpc.StatusCode.OUT_OF_RANGE,
                "the log is at position 7",
                reason="VERSION_OUT_OF_RANGE",
            )
        ]
    ]

    words = words_of(run("watch", "--after-position", "8"))

    assert "leave --after-position out for what is new, or give --from-start" in words


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("after_position", "--after-position"),
        ("order_ids[1]", "--order (2nd)"),
        ("customer_id", "--customer"),
        ("event_types[0]", "--type (1st)"),
        ("checkpoint_interval", "--mark-seconds"),
        ("store_id", "--store-id"),
    ],
)
def test_a_wrong_field_is_named_with_its_flag(
    server: ScriptedServer, run: Run, field: str, flag: str
) -> None:
    server.streams["WatchOrders"] = [
        [
            refusal(
                grpc.StatusCode.INVALID_ARGUMENT,
                "invalid fields",
                reason="INVALID_FIELDS",
                fields={field: "is wrong"},
            )
        ]
    ]

    assert f"{flag} {field} is wrong" in words_of(run("watch"))


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--from-start", "--after-position", "7"), "give one of them"),
        (("--after-position", "-1"), "is not in the range"),
        (("--mark-seconds", "nan"), "is not a number of seconds"),
        (("--min-position", "7"), "No such option"),
    ],
)
def test_what_cannot_be_watched_is_a_fault_of_usage(
    server: ScriptedServer, run: Run, flags: tuple[str, ...], complaint: str
) -> None:
    result = run("watch", *flags)

    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert not server.requests


def test_a_server_that_falls_silent_is_left_for_a_new_stream(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(watching, "MARKS_OVERDUE_MAX", 0.05)
    for_ever = Event()

    watched = watch(
        server,
        run,
        [a_mark(7), for_ever],
        [REFUSED],
        flags=("--mark-seconds", "2"),
    )

    assert "(DEADLINE_EXCEEDED: nothing came for 0.1 s)" in watched.stderr


def test_a_server_that_never_says_a_word_is_told_to_be_silent(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    server.streams["WatchOrders"] = [[Event()]]

    result = run("watch", "--timeout-seconds", "0.1")

    assert result.exit_code == 1
    words = words_of(result)
    assert "DEADLINE_EXCEEDED nothing came for 0.1 s" in words
    assert "give it longer with --timeout-seconds" in words


def test_who_is_interrupted_while_an_event_is_shown_sees_it_again(
    server: ScriptedServer,
) -> None:
    server.streams["WatchOrders"] = [[a_mark(7), an_event(8), an_event(9), Event()]]
    watch_ = Watching(
        Server(address=server.address, timeout_seconds=SECONDS_MAX),
        WatchOrdersRequest(),
        tell=lambda _: None,
    )
    shown = []

    def show_until_interrupted() -> None:
        with closing(watch_.responses()) as responses:
            for response in responses:
                if response.event.position == 9:
                    raise KeyboardInterrupt
                shown.append(response)

    with pytest.raises(KeyboardInterrupt):
        show_until_interrupted()

    assert shown == [a_mark(7), an_event(8)]
    assert watch_.request.after_position == 8


def test_waits_grow_until_a_stream_was_worth_opening(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BACKOFF_SECONDS_MIN", 1.0)
    waited: list[float] = []

    def wait_seconds(failure: object, backoff_seconds: float) -> float:
        waited.append(backoff_seconds)
        return 0.0

    monkeypatch.setattr(watching, "_wait_seconds", wait_seconds)
    first: list[Step] = [a_mark(7), AWAY]
    empty: list[Step] = [a_mark(7), AWAY]
    worth: list[Step] = [a_mark(7), an_event(8), AWAY]

    watch(server, run, first, empty, empty, empty, [AWAY], worth, [AWAY], [REFUSED])

    assert waited == [1, 2, 4, 5, 5, 1, 2]


@pytest.mark.parametrize(
    ("asked_seconds", "backoff_seconds", "at_least", "at_most"),
    [(None, 0.4, 0.4, 0.5), (2.0, 0.4, 2.0, 2.5), (3600.0, 0.4, 5.0, 6.25)],
)
def test_a_wait_is_what_the_server_asks_for_within_bounds(
    server: ScriptedServer,
    asked_seconds: float | None,
    backoff_seconds: float,
    at_least: float,
    at_most: float,
) -> None:
    status = refusal(
        grpc.StatusCode.UNAVAILABLE, "no", reason="x", retry_seconds=asked_seconds
    )
    server.streams["WatchOrders"] = [[status]]
    watch_ = Watching(
        Server(address=server.address, timeout_seconds=SECONDS_MAX, retrying=False),
        WatchOrdersRequest(),
        tell=lambda _: None,
    )
    with pytest.raises(watching.WatchFailed) as failed:
        next(watch_.responses())

    seconds = watching._wait_seconds(failed.value.failure, backoff_seconds)

    assert at_least <= seconds <= at_most


def a_process(server: ScriptedServer, *flags: str) -> StartedProcess:
    words = ("order", "watch", "--read-address", server.address, *flags)
    return start_module("cli", *words)


def test_an_interrupt_is_no_failure_and_says_where_to_go_on(
    server: ScriptedServer,
) -> None:
    caught_up = a_mark(8, caught_up=True)
    server.streams["WatchOrders"] = [[a_mark(7), an_event(8), caught_up, Event()]]

    with a_process(server, "--customer", "it's me", "--type", "T") as process:
        # Only what follows an event says that it is done with.
        wait_until(
            lambda: "caught up at position 8" in process.errors,
            seconds_max=SECONDS_MAX,
            what="the mark is shown",
        )
        process.popen.send_signal(signal.SIGINT)
        code = process.wait(seconds_max=SECONDS_MAX)

    assert code == 0
    words = " ".join(process.errors.split())
    assert "Seen up to position 8. Go on from there:" in words
    assert words.endswith(
        "order watch --after-position 8 --customer 'it'\"'\"'s me' --type T "
        f"--store-id {STORE_ID} --read-address {server.address}"
    )


def test_an_interrupt_before_anything_came_has_nothing_to_say(
    server: ScriptedServer,
) -> None:
    server.streams["WatchOrders"] = [[Event()]]

    with a_process(server) as process:
        wait_until(
            lambda: bool(server.requests["WatchOrders"]),
            seconds_max=SECONDS_MAX,
            what="it watches",
        )
        process.popen.send_signal(signal.SIGINT)
        code = process.wait(seconds_max=SECONDS_MAX)

    assert (code, process.output, process.errors) == (0, "", "")


@pytest.mark.parametrize("flags", [(), ("--json",)])
@pytest.mark.parametrize("then", [an_event(9), a_mark(9)], ids=["event", "mark"])
def test_a_watch_whose_reader_has_gone_ends_quietly(
    server: ScriptedServer, then: WatchOrdersResponse, flags: tuple[str, ...]
) -> None:
    is_gone = Event()
    server.streams["WatchOrders"] = [[a_mark(7), an_event(8), is_gone, then, Event()]]
    words = ("order", "watch", "--read-address", server.address, *flags)

    with subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What is buffered when its reader is gone would fail once more at exit.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        is_gone.set()
        code = process.wait(SECONDS_MAX)
        assert process.stderr is not None
        errors = process.stderr.read()

    assert (code, errors) == (0, b"")


def test_a_server_that_is_killed_and_comes_back_is_found_again() -> None:
    address = free_address()
    with ExitStack() as stack:
        with scripted_server(address) as server:
            server.streams["WatchOrders"] = [[a_mark(7), an_event(8), Event()]]
            process = stack.enter_context(a_process(server))
            process.wait_for_line(ORDER_ID)
        wait_until(
            lambda: "connecting again" in process.errors,
            seconds_max=SECONDS_MAX,
            what="the break is noticed",
        )
        with scripted_server(address) as server:
            server.streams["WatchOrders"] = [[a_mark(8), an_event(9), REFUSED]]
            code = process.wait(seconds_max=SECONDS_MAX)
            (request,) = requests_of(server)

    assert code == 1
    assert request.after_position == 8
    assert [line.split()[0] for line in process.output.splitlines()] == ["8", "9"]
    assert "connected again, going on after position 8" in process.errors
