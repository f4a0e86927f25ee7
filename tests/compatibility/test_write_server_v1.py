"""A write server of today over the write store of the release before."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from orderes.v1.command_service_pb2 import CancelOrderRequest, GetCommandRequest
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.order_pb2 import CancelReason
from tests.compatibility.store_v1 import (
    CALLS,
    HEAD_POSITION,
    ORDERS,
    STORE_ID,
    OldCall,
    as_of_today,
    copied_to,
    plain,
)
from tests.support.envelopes import an_id
from tests.support.rpc import Failure, failure_from
from tests.support.write_process import start_write_server

CALL_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a write server over the old store."""
    data_dir = copied_to(tmp_path_factory.mktemp("store_v1"))
    with start_write_server(data_dir) as process:
        listening = process.listening()
        assert listening["store_id"] == STORE_ID
        with grpc.insecure_channel(listening["address"]) as channel:
            yield CommandServiceStub(channel)
        assert process.stop() == 0


def failure_of(call: Callable[[], object]) -> Failure:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error = raised.value
    assert isinstance(error, grpc.Call)
    trailers = dict(error.trailing_metadata() or ())
    return failure_from(error.code(), error.details() or "", trailers)


def assert_same_failure(failure: Failure, old: dict[str, Any]) -> None:
    assert (failure.code.name, failure.message) == (old["code"], old["message"])
    assert failure.reason == old["reason"]
    # A call without a correlation id is given one, each time another.
    other = {"correlation_id": ""}
    assert failure.metadata | other == old["metadata"] | other


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.rpc)
def test_a_repeated_command_gets_the_outcome_that_it_had(
    commands: Any, call: OldCall
) -> None:
    again = partial(
        getattr(commands, call.rpc),
        call.request(),
        metadata=tuple(call.metadata.items()),
        timeout=CALL_SECONDS_MAX,
    )
    if call.failure is not None:
        assert_same_failure(failure_of(again), call.failure)
        return
    answer = again()
    assert call.order is not None
    assert plain(answer.order) == as_of_today(call.order)
    assert answer.command.deduplicated
    answer.command.deduplicated = False
    # What is newer than the release says nothing of an old command that it did not say.
    assert plain(answer.command) | call.command == plain(answer.command)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.rpc)
def test_the_record_of_a_command_says_what_it_said(
    commands: Any, call: OldCall
) -> None:
    request = GetCommandRequest(command_id=call.command_id)
    record = plain(commands.GetCommand(request, timeout=CALL_SECONDS_MAX).command)
    assert record | call.command == record


def test_the_same_cancellation_with_a_code_is_another_command(commands: Any) -> None:
    (call, *_) = [call for call in CALLS if call.rpc == "CancelOrder" and call.order]
    request = call.request()
    request.reason_code = CancelReason.CANCEL_REASON_FRAUD
    failure = failure_of(
        lambda: commands.CancelOrder(request, timeout=CALL_SECONDS_MAX)
    )
    assert failure.reason == "COMMAND_ID_REUSED"


def test_an_old_order_goes_on(commands: Any) -> None:
    (order,) = [
        order
        for order in ORDERS.values()
        if order["state"] == "ORDER_STATE_PLACED" and order["version"] == "1"
    ]
    request = CancelOrderRequest(
        command_id=an_id(),
        order_id=order["order_id"],
        reason="none left",
        reason_code=CancelReason.CANCEL_REASON_OUT_OF_STOCK,
    )
    answer = commands.CancelOrder(request, timeout=CALL_SECONDS_MAX)
    assert answer.order.cancel_reason_code == request.reason_code
    assert answer.command.order_version == 2
    assert answer.command.position > HEAD_POSITION
