"""Calls of the CommandService, as tests make them."""

from collections.abc import Sequence
from typing import Any

from orderes.v1.command_service_pb2 import GetCommandRequest
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.write_server import RunningWriteServer

Metadata = Sequence[tuple[str, str]]


async def send(
    running: RunningWriteServer,
    name: str = "PlaceOrder",
    *,
    metadata: Metadata = (),
    timeout: float | None = None,  # noqa: ASYNC109 (the deadline of the call)
    **changes: Any,
) -> Any:
    """Sends a well-formed command with those changes; of an id and an order of its own."""
    fields = {"command_id": an_id(), "order_id": an_id(), **changes}
    method = getattr(running.stub, name)
    return await method(
        FORMS[name].request(**fields), metadata=metadata, timeout=timeout
    )


async def placed(running: RunningWriteServer) -> str:
    """The id of a new order. Its one line is of two at 10.00 EUR."""
    answer = await send(running)
    return str(answer.order.order_id)


async def record_of(running: RunningWriteServer, command_id: str) -> Any:
    answer = await running.stub.GetCommand(GetCommandRequest(command_id=command_id))
    return answer.command


def money(minor_units: int) -> dict[str, Any]:
    return {"currency_code": "EUR", "minor_units": minor_units}
