"""Servers and channels for tests of the wire, and errors as a client sees them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from eventcore.rpc.server import RpcLimits, RpcServer, RpcService
from eventcore.telemetry import RpcMetrics

LOCALHOST = "127.0.0.1:0"

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer, taken apart."""

    code: grpc.StatusCode
    message: str
    trailers: Mapping[str, str | bytes]
    details: Mapping[str, Any]
    """By the name of their message, as in "ErrorInfo"."""

    @property
    def reason(self) -> str:
        return str(self.details["ErrorInfo"].reason)

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.details["ErrorInfo"].metadata)

    @property
    def violations(self) -> dict[str, str]:
        """Description by field."""
        return {
            violation.field: violation.description
            for violation in self.details["BadRequest"].field_violations
        }


def failure_from(
    code: grpc.StatusCode, message: str, trailers: Mapping[str, str | bytes]
) -> Failure:
    """An answer with its details unpacked."""
    status = Status()
    status.ParseFromString(trailers.get("grpc-status-details-bin", b""))
    details = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        details[name] = getattr(error_details_pb2, name)()
        packed.Unpack(details[name])
    return Failure(code, message, trailers, details)


async def failure_of(answer: Awaitable[object]) -> Failure:
    """The error that a call fails with."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        return failure_from(error.code(), error.details() or "", trailers)
    raise AssertionError("the call did not fail")


@dataclass(frozen=True, slots=True)
class Running:
    """A server with a client."""

    server: RpcServer
    address: str
    channel: grpc.aio.Channel
    registry: CollectorRegistry

    def sample(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 before its first one."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def calls(self, name: str, code: str) -> float:
        """How many calls of a method of the service below have ended with the code.

        A client may see an answer before the server has counted it: look after the server's end.
        """
        method = f"/{TEXTS}/{name}"
        return self.sample(
            "orderes_rpc_duration_seconds_count", method=method, code=code
        )


@asynccontextmanager
async def running(
    *services: RpcService, limits: RpcLimits | None = None
) -> AsyncIterator[Running]:
    """Hosts the services, and stops at once at the end."""
    registry = CollectorRegistry()
    server = RpcServer(
        address=LOCALHOST,
        services=services,
        metrics=RpcMetrics(registry),
        limits=limits or RpcLimits(),
    )
    address = await server.start()
    try:
        async with channel_to(address) as channel:
            yield Running(server, address, channel, registry)
    finally:
        await server.stop(grace_seconds=0)


def channel_to(address: str) -> grpc.aio.Channel:
    """A connection of its own that never retries by itself."""
    return grpc.aio.insecure_channel(
        address,
        options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)],
    )


# A service made by hand: one method of each arity, text in and text out.

TEXTS = "test.v1.Texts"


def texts(
    *,
    unary_unary: Callable[..., Any] | None = None,
    unary_stream: Callable[..., Any] | None = None,
    stream_unary: Callable[..., Any] | None = None,
    stream_stream: Callable[..., Any] | None = None,
    merges_violations: bool = False,
) -> RpcService:
    """The service, with those methods that are given."""
    given = {
        "UnaryUnary": (grpc.unary_unary_rpc_method_handler, unary_unary),
        "UnaryStream": (grpc.unary_stream_rpc_method_handler, unary_stream),
        "StreamUnary": (grpc.stream_unary_rpc_method_handler, stream_unary),
        "StreamStream": (grpc.stream_stream_rpc_method_handler, stream_stream),
    }
    handlers = {
        name: make(behaviour, StringValue.FromString, StringValue.SerializeToString)
        for name, (make, behaviour) in given.items()
        if behaviour is not None
    }
    return RpcService(
        name=TEXTS,
        add=partial(_register, handlers),
        merges_violations=merges_violations,
    )


def _register(handlers: Mapping[str, Any], server: grpc.aio.Server) -> None:
    server.add_registered_method_handlers(TEXTS, handlers)


class TextsStub:
    """Calls the service with raw bytes, so that they can be malformed, and gives bytes back."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # Without serialisers the multicallables have no types to infer.
        made: Any = channel
        self.unary_unary = made.unary_unary(f"/{TEXTS}/UnaryUnary")
        self.unary_stream = made.unary_stream(f"/{TEXTS}/UnaryStream")
        self.stream_unary = made.stream_unary(f"/{TEXTS}/StreamUnary")
        self.stream_stream = made.stream_stream(f"/{TEXTS}/StreamStream")


def text(value: str) -> bytes:
    """A request of the service, or an answer of it."""
    return StringValue(value=value).SerializeToString()


async def all_of(answers: AsyncIterator[Any]) -> list[Any]:
    """Everything that a stream gives."""
    return [answer async for answer in answers]


async def stream_of(*payloads: bytes) -> AsyncIterator[bytes]:
    """A stream of requests."""
    for payload in payloads:
        yield payload
