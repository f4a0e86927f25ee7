"""What a server says beyond its status is taken apart, whatever it is."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status

from orderes.client.failure import failure_of
from tests.cli.scripted import DETAILS_KEY, PUSHBACK_KEY, refusal
from tests.client.examples import Code


def refused_call(
    *trailers: tuple[str, str | bytes], details: str = "no"
) -> grpc.RpcError:
    return grpc.aio.AioRpcError(
        Code.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata.from_tuple(trailers),
        details=details,
    )


@pytest.mark.parametrize(
    ("told", "milliseconds"), [("250", 250), ("-1", -1), ("soon", -1), ("", -1)]
)
def test_a_pushback_that_is_no_number_asks_not_to_come_back(
    told: str, milliseconds: int
) -> None:
    failure = failure_of(refused_call((PUSHBACK_KEY, told)))

    assert failure.pushback_milliseconds == milliseconds


def test_details_that_cannot_be_read_are_left_out() -> None:
    damaged = AnyMessage(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff"
    )
    status = Status(code=14, message="for people", details=[damaged])

    failure = failure_of(refused_call((DETAILS_KEY, status.SerializeToString())))

    assert (failure.message, failure.reason, failure.facts) == ("for people", "", {})
    assert failure_of(refused_call((DETAILS_KEY, b"\xff"))).message == "no"


def test_the_reason_of_another_service_is_not_taken_for_ours() -> None:
    status = refusal(Code.UNAVAILABLE, "no", reason="SHUTTING_DOWN")
    packed = status.SerializeToString().replace(b"\x07orderes", b"\x07another")

    failure = failure_of(refused_call((DETAILS_KEY, packed)))

    assert (failure.reason, failure.facts) == ("", {})
