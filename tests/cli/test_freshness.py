"""How fresh an answer must be is asked of every query, and the answer says how fresh it is."""

import json

import grpc
import pytest
from google.protobuf.message import Message

from orderes.v1.consistency_pb2 import Consistency, ReadInfo
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetCustomerSummaryResponse,
    GetOrderRequest,
    GetOrderResponse,
    ListOrderEventsRequest,
    ListOrderEventsResponse,
    ListOrdersRequest,
    ListOrdersResponse,
    ListProductSalesRequest,
    ListProductSalesResponse,
)
from tests.cli.scripted import (
    WIRE_ROUNDING_SECONDS,
    Run,
    ScriptedServer,
    refusal,
    words_of,
)

Query = (
    GetOrderRequest
    | ListOrdersRequest
    | ListOrderEventsRequest
    | GetCustomerSummaryRequest
    | ListProductSalesRequest
)
GET = ("get", "o-1")
QUERIES: dict[str, tuple[tuple[str, ...], type[Query], Message]] = {
    "GetOrder": (GET, GetOrderRequest, GetOrderResponse()),
    "ListOrders": (("list",), ListOrdersRequest, ListOrdersResponse()),
    "ListOrderEvents": (
        ("history", "o-1"),
        ListOrderEventsRequest,
        ListOrderEventsResponse(),
    ),
    "GetCustomerSummary": (
        ("customer", "c-1"),
        GetCustomerSummaryRequest,
        GetCustomerSummaryResponse(),
    ),
    "ListProductSales": (
        ("sales",),
        ListProductSalesRequest,
        ListProductSalesResponse(),
    ),
}
STALE = "Stale: it is older than was asked for."
STORE_ID = "0190a6b2-0000-7000-8000-000000000001"


def asked_of(
    server: ScriptedServer, run: Run, method: str, *flags: str
) -> Consistency | None:
    """What a query asks for with these flags."""
    words, request_class, answer = QUERIES[method]
    server.answers[method] = [answer]
    assert run(*words, *flags).exit_code == 0
    request = request_class.FromString(server.requests[method][0])
    return request.consistency if request.HasField("consistency") else None


@pytest.mark.parametrize("method", QUERIES)
def test_every_query_can_ask_for_an_age(
    server: ScriptedServer, run: Run, method: str
) -> None:
    flags = ("--max-staleness-seconds", "2.5", "--max-wait-seconds", "1")

    asked = asked_of(
        server, run, method, *flags, "--allow-stale", "--store-id", STORE_ID
    )

    assert asked is not None
    assert asked.WhichOneof("requirement") == "max_staleness"
    assert asked.max_staleness.ToMilliseconds() == 2500
    assert asked.max_wait.ToSeconds() == 1
    assert asked.allow_stale
    assert asked.store_id == STORE_ID


@pytest.mark.parametrize("method", QUERIES)
def test_every_query_can_ask_for_a_position(
    server: ScriptedServer, run: Run, method: str
) -> None:
    asked = asked_of(server, run, method, "--min-position", "7", "--allow-stale")

    assert asked is not None
    assert asked.min_position == 7
    assert asked.allow_stale
    assert not asked.HasField("max_wait")


@pytest.mark.parametrize("method", QUERIES)
def test_a_query_that_asks_for_nothing_sends_nothing(
    server: ScriptedServer, run: Run, method: str
) -> None:
    assert asked_of(server, run, method) is None


def test_a_store_alone_is_no_demand_that_is_waited_for(
    server: ScriptedServer, run: Run
) -> None:
    asked = asked_of(server, run, "GetOrder", "--store-id", STORE_ID)

    assert asked == Consistency(store_id=STORE_ID)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--min-position", "7", "--max-staleness-seconds", "2"), "give one of them"),
        (("--allow-stale",), "give one of them too"),
        (("--max-wait-seconds", "1"), "give one of them too"),
        (("--store-id", "s", "--max-wait-seconds", "1"), "give one of them too"),
        (("--max-staleness-seconds", "nan"), "is not a number of seconds"),
        (("--max-staleness-seconds", "0"), "is not in the range"),
    ],
)
def test_demands_that_do_not_go_together_are_a_fault_of_usage(
    server: ScriptedServer, run: Run, flags: tuple[str, ...], complaint: str
) -> None:
    result = run(*GET, *flags)

    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert not server.requests


def test_the_call_outlasts_the_wait_for_an_age(
    server: ScriptedServer, run: Run
) -> None:
    asked_of(
        server,
        run,
        "GetOrder",
        *("--max-staleness-seconds", "2", "--max-wait-seconds", "20"),
    )

    assert 22 < server.seconds_left <= 25 + WIRE_ROUNDING_SECONDS


def test_a_server_that_waited_in_vain_is_asked_once(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [
        refusal(
            grpc.StatusCode.UNAVAILABLE,
            "the read models are 12 s old",
            reason="PROJECTION_LAGGING",
            retry_seconds=0.5,
        )
    ]

    result = run(*GET, "--max-staleness-seconds", "2")

    assert result.exit_code == 1
    assert len(server.requests["GetOrder"]) == 1
    words = " ".join(result.stderr.split())
    assert "ask again; if it lasts," in words
    assert "projections` shows why." in words


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("consistency.min_position", "--min-position"),
        ("consistency.max_staleness", "--max-staleness-seconds"),
        ("consistency.max_wait", "--max-wait-seconds"),
        ("consistency.allow_stale", "--allow-stale"),
        ("consistency.store_id", "--store-id"),
    ],
)
def test_a_demand_that_is_wrong_is_named_with_its_flag(
    server: ScriptedServer, run: Run, field: str, flag: str
) -> None:
    server.answers["GetOrder"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields",
            reason="INVALID_FIELDS",
            fields={field: "is wrong"},
        )
    ]

    assert f"{flag} {field} is wrong" in words_of(run(*GET))


def test_a_position_of_another_store_is_to_be_dropped_with_the_store(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [
        refusal(grpc.StatusCode.FAILED_PRECONDITION, "another", reason="STORE_MISMATCH")
    ]

    assert "leave --store-id and the position out" in words_of(run(*GET))


@pytest.mark.parametrize(
    ("lag_seconds", "stale", "said"),
    [
        (0, False, "read at position 7, up to date"),
        (12.3, False, "read at position 7, last known complete 12.3 s ago"),
        (12.3, True, f"read at position 7, last known complete 12.3 s ago {STALE}"),
        (0, True, f"read at position 7, last known complete less than 2 s ago {STALE}"),
    ],
)
def test_an_answer_says_how_old_it_is_and_that_it_is_stale(
    server: ScriptedServer, run: Run, lag_seconds: float, *, stale: bool, said: str
) -> None:
    read_info = ReadInfo(position=7, stale=stale)
    read_info.lag.FromMilliseconds(round(lag_seconds * 1000))
    server.answers["ListOrders"] = [ListOrdersResponse(read_info=read_info)]

    assert words_of(run("list")) == f"No orders. {said}"


def test_as_json_the_answer_says_that_it_is_stale(
    server: ScriptedServer, run: Run
) -> None:
    answer = GetOrderResponse(read_info=ReadInfo(stale=True, store_id=STORE_ID))
    server.answers["GetOrder"] = [answer]

    read_info = json.loads(run(*GET, "--json").stdout)["read_info"]

    assert read_info["stale"] is True
    assert read_info["store_id"] == STORE_ID
