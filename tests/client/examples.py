"""Refusals, receipts and answers, as servers give them."""

from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_pb2 import COMMAND_STAGE_COMMITTED, Command
from orderes.v1.consistency_pb2 import ReadInfo
from orderes.v1.order_pb2 import OrderLine
from tests.cli.scripted import refusal

STORE = "store-1"
OTHER_STORE = "store-2"
ORDER_ID = "0190a6b2-7c1e-7d3f-8a4b-0000000000a1"
EUROS = Money(currency_code="EUR", minor_units=1999)
LINE = OrderLine(product_id="book", quantity=2, unit_price=EUROS)

Code = grpc.StatusCode


def bare(code: grpc.StatusCode, message: str = "") -> Status:
    """What the library, or something on the way, answers by itself."""
    return Status(code=code.value[0], message=message)


def refused(code: grpc.StatusCode, reason: str, **facts: str) -> Status:
    """What the service answers."""
    return refusal(code, f"for {reason}", reason=reason, facts=facts)


QUEUE_FULL = refusal(
    Code.RESOURCE_EXHAUSTED,
    "the normal lane is full",
    reason="COMMAND_QUEUE_FULL",
    facts={"lane": "normal", "depth": "7", "capacity": "8"},
    retry_seconds=0.001,
)
LAGGING = refusal(
    Code.UNAVAILABLE,
    "the read model is at position 7, not yet at 9: retry",
    reason="PROJECTION_LAGGING",
    facts={"min_position": "9", "position": "7"},
    retry_seconds=0.001,
)
SHUTTING_DOWN = refused(Code.UNAVAILABLE, "SHUTTING_DOWN")
MISMATCH = refused(Code.FAILED_PRECONDITION, "STORE_MISMATCH", store_id=OTHER_STORE)
GONE = bare(Code.UNAVAILABLE, "connection lost")


def receipt(position: int = 1, *, store_id: str = STORE, **fields: Any) -> Command:
    """What a command is answered with."""
    return Command(
        **{"stage": COMMAND_STAGE_COMMITTED, **fields},
        position=position,
        store_id=store_id,
    )


def read_info(position: int = 1, *, store_id: str = STORE) -> ReadInfo:
    """How fresh an answer is."""
    return ReadInfo(position=position, store_id=store_id)
