"""What people see when they cancel an order."""

import pytest

from orderes.v1.command_service_pb2 import CancelOrderRequest, CancelOrderResponse
from orderes.v1.order_pb2 import CancelReason, Order, OrderState
from orderes.v1.query_service_pb2 import GetOrderResponse
from tests.cli.scripted import Run, ScriptedServer, words_of
from tests.support.envelopes import an_id

ORDER_ID = an_id()


def sent_by(server: ScriptedServer) -> CancelOrderRequest:
    return CancelOrderRequest.FromString(server.requests["CancelOrder"][0])


def test_the_code_of_the_reason_travels_with_its_text(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["CancelOrder"] = [CancelOrderResponse()]

    run("cancel", ORDER_ID, "--reason", "none left", "--reason-code", "out_of_stock")

    assert sent_by(server).reason == "none left"
    assert sent_by(server).reason_code == CancelReason.CANCEL_REASON_OUT_OF_STOCK


def test_a_code_may_be_written_as_the_contract_does(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["CancelOrder"] = [CancelOrderResponse()]

    run("cancel", ORDER_ID, "--reason", "none left", "--reason-code", "OUT_OF_STOCK")

    assert sent_by(server).reason_code == CancelReason.CANCEL_REASON_OUT_OF_STOCK


def test_a_reason_without_a_code_is_another_one(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["CancelOrder"] = [CancelOrderResponse()]

    run("cancel", ORDER_ID, "--reason", "none left")

    assert sent_by(server).reason_code == CancelReason.CANCEL_REASON_OTHER


def test_a_code_that_there_is_not_is_refused_before_anything_is_sent(
    server: ScriptedServer, run: Run
) -> None:
    result = run("cancel", ORDER_ID, "--reason", "x", "--reason-code", "boredom")

    assert result.exit_code == 2
    assert "customer_request" in words_of(result)
    assert "unspecified" not in words_of(result)
    assert not server.requests["CancelOrder"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (CancelReason.CANCEL_REASON_FRAUD, "reason code FRAUD"),
        (99, "reason code OTHER (99)"),
    ],
)
def test_a_cancelled_order_shows_the_code_and_the_text(
    server: ScriptedServer, run: Run, code: int, shown: str
) -> None:
    order = Order(
        order_id=ORDER_ID,
        state=OrderState.ORDER_STATE_CANCELLED,
        cancel_reason="never heard of",
        cancel_reason_code=code,  # type: ignore[arg-type]
    )
    server.answers["GetOrder"] = [GetOrderResponse(order=order)]

    words = words_of(run("get", ORDER_ID))

    assert "cancelled never heard of" in words
    assert shown in words


def test_an_order_that_is_not_cancelled_shows_neither(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetOrder"] = [GetOrderResponse(order=Order(order_id=ORDER_ID))]

    assert "reason" not in words_of(run("get", ORDER_ID))
