"""How long queries take, with few events and with many."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.fleet import Say
from benchmarks.ground import Ground
from benchmarks.read_side import CALL_SECONDS_MAX, ReadServer, milliseconds, spread
from benchmarks.report import Report
from orderes.v1 import query_service_pb2 as pb2

FEW_EVENTS = 1_000
CALLS = 500
"""Of each query, one after the other."""
WARM_UP_CALLS = 50
CUSTOMERS = 100

Query = Callable[[random.Random], Any]


def measure_querying(ground: Ground, few_dir: Path, say: Say) -> Report:
    """Asks the same of a small read store and of a big one.

    Args:
        ground: The big one.
        few_dir: For the small one.
        say: Is told how far it is.
    """
    few = Ground(few_dir, FEW_EVENTS)
    few.prepare(say)
    ground.prepare(say)
    before, after = (_ask(each, say) for each in (few, ground))
    return Report(
        name="querying",
        title=f"Queries, one after the other: with {FEW_EVENTS:,} and {ground.events:,} events",
        rows=[
            (name, f"{spread(before[name])}; {spread(after[name])}") for name in before
        ],
        figures={
            name: {
                "few_milliseconds": milliseconds(before[name]),
                "many_milliseconds": milliseconds(after[name]),
            }
            for name in before
        },
    )


def _ask(ground: Ground, say: Say) -> dict[str, list[float]]:
    """The seconds that each call took, by query."""
    say(f"queries with {ground.events:,} events")
    taken: dict[str, list[float]] = {}
    chance = random.Random(1)  # noqa: S311 - nothing here is secret.
    with ReadServer(ground.data_dir) as server:
        for name, query in _queries(server.queries, ground.orders).items():
            for _ in range(WARM_UP_CALLS):
                query(chance)
            taken[name] = [timed(query, chance) for _ in range(CALLS)]
        server.stop()
    return taken


def timed(query: Query, chance: random.Random) -> float:
    """The seconds that a call takes."""
    began = time.monotonic()
    query(chance)
    return time.monotonic() - began


def get_order(queries: Any, orders: Sequence[str]) -> Query:
    """GetOrder of some order."""
    return lambda chance: queries.GetOrder(
        pb2.GetOrderRequest(order_id=chance.choice(orders)), timeout=CALL_SECONDS_MAX
    )


def _queries(queries: Any, orders: Sequence[str]) -> dict[str, Query]:
    now = Timestamp()
    now.GetCurrentTime()

    def call(method: str, request: Callable[[random.Random], Any]) -> Query:
        rpc = getattr(queries, method)
        return lambda chance: rpc(request(chance), timeout=CALL_SECONDS_MAX)

    def customer(chance: random.Random) -> str:
        return f"customer-{chance.randrange(CUSTOMERS)}"

    return {
        "GetOrder": get_order(queries, orders),
        "GetOrder as of version 1": call(
            "GetOrder",
            lambda chance: pb2.GetOrderRequest(
                order_id=chance.choice(orders), version=1
            ),
        ),
        "GetOrder as of a time": call(
            "GetOrder",
            lambda chance: pb2.GetOrderRequest(
                order_id=chance.choice(orders), time=now
            ),
        ),
        "ListOrderEvents": call(
            "ListOrderEvents",
            lambda chance: pb2.ListOrderEventsRequest(order_id=chance.choice(orders)),
        ),
        "ListOrders, newest 50": call("ListOrders", lambda _: pb2.ListOrdersRequest()),
        "ListOrders of a customer": call(
            "ListOrders",
            lambda chance: pb2.ListOrdersRequest(customer_id=customer(chance)),
        ),
        "GetCustomerSummary": call(
            "GetCustomerSummary",
            lambda _: pb2.GetCustomerSummaryRequest(customer_id="customer-0"),
        ),
        "ListProductSales": call(
            "ListProductSales", lambda _: pb2.ListProductSalesRequest()
        ),
    }
