"""What people type is read exactly, or refused where it was typed."""

import pytest

from orderes.v1.command_service_pb2 import PlaceOrderResponse, ShipOrderRequest
from tests.cli.scripted import Run, ScriptedServer

GET = ("get", "o-1")
LIST = ("list",)
PLACE = ("place", "--customer", "c-1", "--line", "book:2:19.99 EUR")
SHIP = ("ship", "o-1", "--carrier", "dhl", "--tracking-number", "t-1")
BEYOND_INT64 = str(2**63)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((*GET, "--min-position", BEYOND_INT64), "is not in the range"),
        ((*SHIP, "--expected-version", BEYOND_INT64), "is not in the range"),
        ((*SHIP, "--max-wait-seconds", "inf"), "is not in the range"),
        ((*SHIP, "--max-wait-seconds", "nan"), "is not a number of seconds"),
        ((*SHIP, "--max-wait-seconds", "-1"), "is not in the range"),
        ((*GET, "--timeout-seconds", "inf"), "is not in the range"),
        ((*GET, "--timeout-seconds", "1e300"), "is not in the range"),
        ((*GET, "--timeout-seconds", "nan"), "is not a number of seconds"),
        ((*GET, "--timeout-seconds", "-1"), "is not in the range"),
        ((*LIST, "--placed-since", "9999-12-31T23:59:59-14:00"), "is not a time"),
        ((*LIST, "--placed-since", "0001-01-01T00:00:00+14:00"), "is not a time"),
        ((*GET, "--correlation-id", "Grüße"), "1 to 128 printable ASCII"),
        ((*GET, "--correlation-id", "x" * 129), "1 to 128 printable ASCII"),
        ((*GET, "--correlation-id", ""), "1 to 128 printable ASCII"),
        ((*PLACE, "--command-id", ""), "leave it out and one is made"),
        (("--command-id", "", *PLACE), "leave it out and one is made"),
        ((*GET, "--max-wait-seconds", "1"), "waits for --min-position"),
    ],
)
def test_what_cannot_be_sent_is_a_fault_of_usage(
    server: ScriptedServer, run: Run, words: tuple[str, ...], complaint: str
) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert not server.requests


@pytest.mark.parametrize(
    ("typed", "seconds", "nanos"),
    [("1.9999999", 2, 0), ("2.5", 2, 500_000_000), ("0.000001", 0, 1000)],
)
def test_seconds_are_sent_to_the_microsecond(
    server: ScriptedServer, run: Run, typed: str, seconds: int, nanos: int
) -> None:
    server.answers["ShipOrder"] = [PlaceOrderResponse()]

    run(*SHIP, "--max-wait-seconds", typed)

    max_wait = ShipOrderRequest.FromString(
        server.requests["ShipOrder"][0]
    ).options.max_wait
    assert (max_wait.seconds, max_wait.nanos) == (seconds, nanos)
