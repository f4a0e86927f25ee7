"""One call to a server, and the answer or the refusal that comes of it."""

from collections.abc import Callable
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from cli.client import Server
from cli.refused import Refused, Sent
from orderes.client.failure import failure_of

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
StubT = TypeVar("StubT")


def exchange(
    server: Server,
    make_stub: Callable[[grpc.Channel], StubT],
    method: Callable[[StubT], "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]"],
    request: RequestT,
    *,
    sent: Sent,
    as_json: bool,
) -> ResponseT:
    """Sends a request and returns the answer.

    Raises:
        Refused: the server said no, or did not answer.
    """
    try:
        return server.call(make_stub, method, request)
    except grpc.RpcError as error:
        raise Refused(failure_of(error), sent, as_json=as_json) from error
