"""An order is shown as it was after any of its events, or at any time."""

import grpc
import pytest

from orderes.v1.order_pb2 import Order, OrderState
from orderes.v1.query_service_pb2 import GetOrderRequest, GetOrderResponse
from tests.cli.scripted import Run, ScriptedServer, refusal, words_of

ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b"
GET = ("get", ORDER_ID)
ANSWER = GetOrderResponse(
    order=Order(order_id=ORDER_ID, state=OrderState.ORDER_STATE_PLACED, version=2)
)


def sent_by(server: ScriptedServer) -> GetOrderRequest:
    return GetOrderRequest.FromString(server.requests["GetOrder"][0])


def test_an_order_is_asked_for_as_it_was_after_so_many_events(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [ANSWER]

    words = words_of(run(*GET, "--as-of-version", "2"))

    assert sent_by(server).version == 2
    assert words.startswith(f"As it was after its event 2: order {ORDER_ID}")


def test_an_order_is_asked_for_as_it_was_at_a_time(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [ANSWER]

    words = words_of(run(*GET, "--as-of-time", "2026-11-23T10:00:00.25+01:00"))

    assert sent_by(server).time.ToJsonString() == "2026-11-23T09:00:00.250Z"
    assert words.startswith("As it was at 2026-11-23T09:00:00.250Z: order")


def test_an_order_is_asked_for_as_it_is_unless_a_moment_is_named(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [ANSWER]

    words = words_of(run(*GET))

    assert sent_by(server).WhichOneof("as_of") is None
    assert words.startswith(f"order {ORDER_ID}")


def test_a_version_that_no_order_has_is_left_to_the_server_to_refuse(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields",
            reason="INVALID_FIELDS",
            fields={"version": "is 0, must be at least 1"},
        )
    ]

    words = words_of(run(*GET, "--as-of-version", "0"))

    assert sent_by(server).WhichOneof("as_of") == "version"
    assert "--as-of-version version is 0, must be at least 1" in words


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--as-of-version", "2", "--as-of-time", "2026-11-23"), "give one of them"),
        (("--as-of-version", str(2**63)), "is not in the range"),
        (("--as-of-time", "yesterday"), "is not a time"),
    ],
)
def test_a_moment_that_cannot_be_sent_is_a_fault_of_usage(
    server: ScriptedServer, run: Run, flags: tuple[str, ...], complaint: str
) -> None:
    result = run(*GET, *flags)

    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert not server.requests


def test_a_version_beyond_the_newest_is_told_with_where_to_see_which_there_are(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [
        refusal(
            grpc.StatusCode.OUT_OF_RANGE,
            "the order has 2 versions",
            reason="VERSION_OUT_OF_RANGE",
        )
    ]

    result = run(*GET, "--as-of-version", "9")

    assert result.exit_code == 1
    assert "order history` shows which versions there are" in words_of(result)


def test_an_order_that_was_not_there_yet_is_told_with_how_to_see_it_now(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [
        refusal(grpc.StatusCode.NOT_FOUND, "no such order", reason="ORDER_NOT_FOUND")
    ]

    words = words_of(run(*GET, "--as-of-time", "2026-11-23"))

    assert "it may be younger than that time: see `" in words
    assert f"order get {ORDER_ID}`" in words
