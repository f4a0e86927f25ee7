"""A server that answers what a test tells it to, and remembers what it was sent."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import grpc
from click.testing import Result
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
PUSHBACK = "1"
"""How long a client waits before it tries again, in milliseconds."""

WIRE_ROUNDING_SECONDS = 0.5
"""gRPC rounds a deadline up on the wire, by less than this."""

CODES = {code.value[0]: code for code in grpc.StatusCode}

Step = Message | Event
"""What a stream does next: sends a message, refuses by a `google.rpc.Status`, or waits until
the event is set or the client is gone."""

Run = Callable[..., Result]
"""Runs `orderes order` with these words against the scripted server."""


def words_of(result: Result) -> str:
    """The output with its line breaks and padding out of the way."""
    return " ".join(result.output.split())


def refusal(
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str,
    rule: str = "",
    facts: dict[str, str] | None = None,
    fields: dict[str, str] | None = None,
    retry_seconds: float | None = None,
) -> status_pb2.Status:
    """What the service answers when it refuses."""
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain="orderes", metadata=facts or {}
    )
    details: list[Message] = [info]
    if rule:
        violation = error_details_pb2.PreconditionFailure.Violation(type=rule)
        details.append(error_details_pb2.PreconditionFailure(violations=[violation]))
    if fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
            for name, text in fields.items()
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(retry_seconds * 1e9))
        details.append(retry)
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


@dataclass(slots=True)
class ScriptedServer:
    """Answers each call of a method with the next of its answers, the last for ever."""

    address: str = ""
    answers: dict[str, list[Message]] = field(default_factory=dict)
    """By name of the method; a `google.rpc.Status` refuses."""
    streams: dict[str, list[Sequence[Step]]] = field(default_factory=dict)
    """What each call of a method streams, the last for ever."""
    requests: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    metadata: dict[str, str] = field(default_factory=dict)
    """Of the newest call."""
    seconds_left: float = 0.0
    """Until the deadline of the newest call, when it came."""

    def answer(
        self, method: str, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        """Answers one call."""
        self._remember(method, request, context)
        answers = self.answers[method]
        message = answers.pop(0) if len(answers) > 1 else answers[0]
        _refuse_by(message, context)
        return message.SerializeToString()

    def stream(
        self, method: str, request: bytes, context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Answers one call with a stream."""
        self._remember(method, request, context)
        streams = self.streams[method]
        for step in streams.pop(0) if len(streams) > 1 else streams[0]:
            if not isinstance(step, Event):
                _refuse_by(step, context)
                yield step.SerializeToString()
            elif context.add_callback(step.set):
                step.wait()

    def _remember(
        self, method: str, request: bytes, context: grpc.ServicerContext
    ) -> None:
        self.requests[method].append(request)
        self.metadata = {
            str(key): str(value) for key, value in context.invocation_metadata()
        }
        self.seconds_left = context.time_remaining() or 0.0


def _refuse_by(message: Message, context: grpc.ServicerContext) -> None:
    """Ends the call if the message is a status."""
    if isinstance(message, status_pb2.Status):
        packed = (DETAILS_KEY, message.SerializeToString())
        context.set_trailing_metadata((packed, (PUSHBACK_KEY, PUSHBACK)))
        context.abort(CODES[message.code], message.message)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, script: ScriptedServer) -> None:
        self._script = script

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        method = str(handler_call_details.method).rpartition("/")[2]

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._script.stream(method, request, context)

        if method in self._script.streams:
            return grpc.unary_stream_rpc_method_handler(stream)
        if method not in self._script.answers:
            return None

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._script.answer(method, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def scripted_server(address: str = "127.0.0.1:0") -> Iterator[ScriptedServer]:
    """A scripted server, on a port of its own unless it is given an address."""
    script = ScriptedServer()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Handlers(script)])
    port = server.add_insecure_port(address)
    script.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield script
    finally:
        server.stop(None).wait()
