"""What happens around every RPC, once for all services and all four arities.

Each handler that a servicer registers is wrapped when the server is made; a call then costs one
dictionary lookup. It is done here and not in an interceptor, because an interceptor adds a
coroutine to every call, cannot see a malformed request, and leaves the library's table of
registered methods in place, which is waited on one by one for every call.

The wrapped handler parses the request itself (the library would answer malformed bytes with
UNKNOWN), makes the `Call`, and turns what the servicer raises into a status. Only trailers are sent
before an error: initial metadata would switch off the retries of clients.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from eventcore.errors import FieldViolation, InvalidFields, ShuttingDown
from eventcore.rpc.call import (
    CORRELATION_ID,
    Call,
    call_of,
    current_call,
    enter_call,
)
from eventcore.rpc.connection_calls import ConnectionCalls
from eventcore.rpc.errors import ErrorAnswer, answer_of, is_fault
from eventcore.rpc.in_flight import InFlight
from eventcore.telemetry import UNKNOWN_METHOD, RpcMetrics

MALFORMED = FieldViolation("request", "must be a protobuf message of the method's type")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Answer: TypeAlias = Callable[[Any, Context], Awaitable[bytes | None]]
"""Answers a call of raw bytes, or of an iterator of them, with raw bytes or by writing them."""

_CANCELLED = grpc.StatusCode.CANCELLED

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerGroup:
    """How the calls of some services are treated."""

    in_flight: InFlight = field(default_factory=InFlight)
    connection_calls: ConnectionCalls | None = None
    """What bounds the calls of a connection; None where nothing does."""
    merges_violations: bool = False
    """Whether the servicers name what is wrong with the metadata among their own faults."""


class Handlers(grpc.GenericRpcHandler):
    """The wrapped handlers of a server, by method."""

    def __init__(
        self,
        *,
        metrics: RpcMetrics,
        error_domain: str,
        message_bytes_max: int,
        metadata_bytes_max: int,
    ) -> None:
        self._metrics = metrics
        self._error_domain = error_domain
        self._message_bytes_max = message_bytes_max
        self._metadata_bytes_max = metadata_bytes_max
        self._handlers: dict[str, Handler] = {}
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(
            self._served(UNKNOWN_METHOD, _refuse_unknown, HandlerGroup())
        )

    def add(
        self, methods: Mapping[str, Handler], *, service: str, group: HandlerGroup
    ) -> None:
        """Wraps the handlers of a service."""
        for name, handler in methods.items():
            method = f"/{service}/{name}"
            answer = _answer_of(handler, self._message_bytes_max)
            served = self._served(method, answer, group)
            self._handlers[method] = _of_same_arity(handler, served)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """The handler of a call; unknown methods share one."""
        return self._handlers.get(handler_call_details.method, self._unknown)

    def _served(self, method: str, answer: Answer, group: HandlerGroup) -> Answer:
        in_flight = group.in_flight
        connections = group.connection_calls

        async def serve(payload: Any, context: Context) -> bytes | None:
            started = perf_counter()
            call = self._call(method, context, in_flight)
            enter_call(call)
            context.set_trailing_metadata(((CORRELATION_ID, call.correlation_id),))
            task = in_flight.enter()
            code = grpc.StatusCode.OK
            connection: str | None = None
            try:
                if in_flight.draining:
                    await in_flight.refuse()
                if connections is not None:
                    peer = context.peer()
                    connections.enter(peer)
                    connection = peer
                if call.violations and not group.merges_violations:
                    raise InvalidFields(call.violations)  # noqa: TRY301  # Answered below.
                return await answer(payload, context)
            except (Exception, asyncio.CancelledError) as error:
                if context.done():
                    code = context.code()
                    raise  # The servicer has sent a status of its own.
                if _client_is_gone(error, task, in_flight):
                    code = _CANCELLED
                    raise
                refused = self._refused(error, call)
                code = refused.code
                await context.abort(code, refused.message, refused.trailers)
            finally:
                in_flight.leave(task)
                if connections is not None and connection is not None:
                    connections.leave(connection)
                self._metrics.observe(method, code.name, perf_counter() - started)

        return serve

    def _call(self, method: str, context: Context, in_flight: InFlight) -> Call:
        return call_of(
            method,
            context.invocation_metadata() or (),
            metadata_bytes_max=self._metadata_bytes_max,
            draining=in_flight.drain_began,
        )

    def _refused(self, error: BaseException, call: Call) -> ErrorAnswer:
        if isinstance(error, asyncio.CancelledError):
            # The client is still there. Without a status it would hang until its deadline.
            error = ShuttingDown()
        elif is_fault(error):
            log_fault(error, call, call.subject)
        return answer_of(error, call, domain=self._error_domain)


def log_fault(error: BaseException, call: Call, subject: Mapping[str, str]) -> None:
    """Logs a fault, which no client gets to see: all of it, and what it is about."""
    log.error(
        "rpc_failed",
        method=call.method,
        correlation_id=call.correlation_id,
        **subject,
        exc_info=error,
    )


def _client_is_gone(
    error: BaseException, task: asyncio.Task[object], in_flight: InFlight
) -> bool:
    """Whether nobody is left to be answered."""
    if isinstance(error, asyncio.CancelledError):
        # The library cancels the task when the client goes; a future that someone else has
        # cancelled raises the same error, but leaves the task alone.
        return task.cancelling() > 0 and not in_flight.was_ended(task)
    # So ends a write to a client that has gone; the library drops it quietly.
    return isinstance(error, grpc.aio.InternalError)


def _of_same_arity(handler: Handler, served: Answer) -> Handler:
    """Takes and gives raw bytes, so that no fault of form happens outside of `served`."""
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(served)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(served)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(served)
        case _:
            return grpc.stream_stream_rpc_method_handler(served)


def _answer_of(handler: Handler, bytes_max: int) -> Answer:
    behaviour: Any = (
        handler.unary_unary
        or handler.unary_stream
        or handler.stream_unary
        or handler.stream_stream
    )
    parse = partial(_parsed, handler.request_deserializer or bytes, bytes_max)
    serialize = handler.response_serializer or bytes
    read = partial(_ParsedRequests, parse) if handler.request_streaming else parse

    async def answer_one(payload: Any, context: Context) -> bytes:
        return _ready(await behaviour(read(payload), context), serialize)

    async def answer_each(payload: Any, context: Context) -> None:
        async with aclosing(behaviour(read(payload), context)) as responses:
            async for response in responses:
                await context.write(_ready(response, serialize))

    return answer_each if handler.response_streaming else answer_one


def _ready(response: Any, serialize: Callable[[Any], bytes]) -> bytes:
    """The bytes to send. A servicer may keep answers serialised and return their bytes."""
    return response if isinstance(response, bytes) else serialize(response)


def _parsed(parse: Callable[[bytes], Any], bytes_max: int, raw: bytes) -> Any:
    """The message. One that is too long is not even looked at."""
    if len(raw) > bytes_max:
        raise InvalidFields([*current_call().violations, _too_long(raw, bytes_max)])
    try:
        return parse(raw)
    except DecodeError:
        raise InvalidFields([*current_call().violations, MALFORMED]) from None


def _too_long(raw: bytes, bytes_max: int) -> FieldViolation:
    return FieldViolation(
        "request", f"has {len(raw)} bytes, at most {bytes_max} are allowed"
    )


class _ParsedRequests:
    """The requests of a stream, as messages."""

    def __init__(
        self, parse: Callable[[bytes], Any], payloads: AsyncIterator[bytes]
    ) -> None:
        self._parse = parse
        self._payloads = payloads

    def __aiter__(self) -> "_ParsedRequests":
        return self

    async def __anext__(self) -> Any:
        return self._parse(await anext(self._payloads))


async def _refuse_unknown(_payload: Any, context: Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "the server has no such method")
