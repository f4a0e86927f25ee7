"""Calls to the servers: how a channel is made, and what a call carries."""

import ipaddress
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)
StubT = TypeVar("StubT")

ATTEMPTS_MAX = 5
"""Of one call; more is not allowed by the library. With the backoff below they span about
two seconds, in which `orderes up` has brought back a server that was killed."""

RETRY_POLICY: dict[str, object] = {
    "maxAttempts": ATTEMPTS_MAX,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    # Both mean that the same call may succeed later; every command carries its
    # command_id, so that a repeat cannot take effect twice.
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}
RETRYING: tuple[tuple[str, str | int], ...] = (
    (
        "grpc.service_config",
        json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": RETRY_POLICY}]}),
    ),
    # Without these the channel itself waits a second before it tries to connect again,
    # and every attempt in that second fails.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Options of a channel whose calls are retried by gRPC, each with its own content."""

NOT_RETRYING: tuple[tuple[str, str | int], ...] = (("grpc.enable_retries", 0),)
"""Options of a channel that shows every refusal."""

WITHOUT_PROXY: tuple[tuple[str, str | int], ...] = (("grpc.enable_http_proxy", 0),)
"""Options of a channel to this machine: no proxy that http_proxy names could reach it."""


class CallIterator(Protocol[ResponseT_co]):
    """A stream of answers that is under way."""

    def __iter__(self) -> Iterator[ResponseT_co]: ...

    def cancel(self) -> object:
        """Ends it; who reads it gets CANCELLED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server as a client sees it."""

    address: str
    timeout_seconds: float
    """The deadline of a call, its retries included."""
    correlation_id: str = ""
    retrying: bool = True
    """Whether refusals that may pass are tried again."""

    def call(
        self,
        make_stub: Callable[[grpc.Channel], StubT],
        method: Callable[[StubT], "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]"],
        request: RequestT,
    ) -> ResponseT:
        """Makes one call on a channel of its own.

        Raises:
            grpc.RpcError: the server refused, or did not answer.
        """
        with self._channel() as channel:
            call = method(make_stub(channel))
            return call(request, timeout=self.timeout_seconds, metadata=self._metadata)

    @contextmanager
    def stream(
        self,
        make_stub: Callable[[grpc.Channel], StubT],
        method: Callable[[StubT], "grpc.UnaryStreamMultiCallable[RequestT, ResponseT]"],
        request: RequestT,
    ) -> Iterator[CallIterator[ResponseT]]:
        """Opens a stream on a channel of its own; it has no deadline, and is cancelled
        at the end. Reading it raises grpc.RpcError where the server refused or is gone.
        """
        with self._channel() as channel:
            call = method(make_stub(channel))(request, metadata=self._metadata)
            try:
                yield call
            finally:
                call.cancel()

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if not self.correlation_id:
            return ()
        return (("x-correlation-id", self.correlation_id),)

    def _channel(self) -> AbstractContextManager[grpc.Channel]:
        return grpc.insecure_channel(
            self.address,
            options=(
                *(RETRYING if self.retrying else NOT_RETRYING),
                *(WITHOUT_PROXY if is_loopback(self.address) else ()),
            ),
        )


def is_loopback(address: str) -> bool:
    """Whether an address such as `localhost:50051` or `[::1]:50051` is of this machine."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
