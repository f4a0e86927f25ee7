"""What the release with version 1 of the write store has left: its databases and its answers.

It wrote `OrderCancelled` in version 1, without a code. Its databases were made by its own three
processes, which then were stopped; `answers.json` has each call that was made, with the answer and
the record of the command, and what GetOrder said of each order at the end.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from tests.orders.requests import FORMS
from tests.support.fixtures import STORE_V1

_ANSWERS = json.loads((STORE_V1 / "answers.json").read_text())

HEAD_POSITION: int = _ANSWERS["head_position"]
STORE_ID: str = _ANSWERS["store_id"]


@dataclass(frozen=True, slots=True)
class OldCall:
    """A call of a command, and how it ended."""

    rpc: str
    metadata: dict[str, str]
    content: dict[str, Any]
    command: dict[str, Any]
    """Its record, as GetCommand had it."""
    order: dict[str, Any] | None
    """The order in the answer; None if there was a failure."""
    failure: dict[str, Any] | None

    def request(self) -> Any:
        """The request, read by the contract of today."""
        return ParseDict(self.content, FORMS[self.rpc].message())

    @property
    def command_id(self) -> str:
        return str(self.content["command_id"])


CALLS = [
    OldCall(
        rpc=call["rpc"],
        metadata=call["metadata"],
        content=call["request"],
        command=call["command"],
        order=call.get("order"),
        failure=call.get("failure"),
    )
    for call in _ANSWERS["calls"]
]


def copied_to(folder: Path) -> Path:
    """A data directory as the old release left it."""
    for name in ("write.db", "read.db"):
        shutil.copyfile(STORE_V1 / name, folder / name)
    return folder


def plain(message: Message) -> dict[str, Any]:
    """An answer of today, as the old ones are kept."""
    return MessageToDict(message, preserving_proto_field_name=True)


def as_of_today(order: dict[str, Any]) -> dict[str, Any]:
    """An order as the old release had it, with all that this one says of it."""
    if "cancel_reason" not in order:
        return order
    return {**order, "cancel_reason_code": "CANCEL_REASON_OTHER"}


ORDERS = {order["order_id"]: as_of_today(order) for order in _ANSWERS["orders"]}
"""What GetOrder says of each order."""
