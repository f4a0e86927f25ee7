"""How a call is made: how long it may take, whether it is repeated, which way it goes."""

import grpc
import pytest

from cli.client import Server, is_loopback
from orderes.v1.query_service_pb2 import GetOrderRequest, GetOrderResponse
from orderes.v1.query_service_pb2_grpc import QueryServiceStub
from tests.cli.scripted import (
    WIRE_ROUNDING_SECONDS,
    Run,
    ScriptedServer,
    refusal,
)
from tests.support.processes import free_address

NOT_YET = refusal(
    grpc.StatusCode.UNAVAILABLE,
    "the read models are at position 7, and 500 is asked for",
    reason="PROJECTION_LAGGING",
    retry_seconds=0.5,
)


def test_a_query_that_waited_in_vain_is_told_not_yet_and_asked_once(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [NOT_YET]

    result = run("get", "o-1", "--min-position", "500", "--max-wait-seconds", "10")

    assert result.exit_code == 1
    assert len(server.requests["GetOrder"]) == 1
    words = " ".join(result.stderr.split())
    assert "Refused UNAVAILABLE · PROJECTION_LAGGING" in words
    assert "wait 0.5 s, then ask again" in words


@pytest.mark.parametrize(
    ("words", "at_least", "at_most"),
    [
        ((), 10, 15),
        (("--min-position", "7"), 10, 15),
        (("--min-position", "7", "--max-wait-seconds", "20"), 22, 25),
        # The server waits no longer than 30 s, so that neither does the client.
        (("--min-position", "7", "--max-wait-seconds", "300"), 32, 35),
        # What is typed is a person's own will.
        (("--timeout-seconds", "5"), 2, 5),
    ],
)
def test_a_call_outlasts_the_wait_that_it_asks_for(
    server: ScriptedServer,
    run: Run,
    words: tuple[str, ...],
    at_least: float,
    at_most: float,
) -> None:
    server.answers["GetOrder"] = [GetOrderResponse()]

    run("get", "o-1", *words)

    assert at_least < server.seconds_left <= at_most + WIRE_ROUNDING_SECONDS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_is_not_asked_for_the_way_to_this_machine(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{free_address()}")
    server.answers["GetOrder"] = [GetOrderResponse()]
    address = server.address.replace("127.0.0.1", host)

    answer = Server(address=address, timeout_seconds=10, retrying=False).call(
        QueryServiceStub, lambda queries: queries.GetOrder, GetOrderRequest()
    )

    assert answer == GetOrderResponse()


@pytest.mark.parametrize(
    ("address", "is_near"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.8.8:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("10.0.0.1:50051", False),
        ("[2001:db8::1]:50051", False),
        ("orders.example.org:50051", False),
        ("nonsense", False),
    ],
)
def test_loopback_is_told_from_what_is_elsewhere(
    address: str, *, is_near: bool
) -> None:
    assert is_loopback(address) is is_near
