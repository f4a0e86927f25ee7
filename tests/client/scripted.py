"""Both services at one address, answering what a test tells them to, and remembering what came."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from orderes.v1 import command_service_pb2, query_service_pb2
from tests.cli.scripted import CODES, DETAILS_KEY
from tests.support.rpc import LOCALHOST

SERVICES = (
    command_service_pb2.DESCRIPTOR.services_by_name["CommandService"],
    query_service_pb2.DESCRIPTOR.services_by_name["QueryService"],
)
METHODS = {method.name: method for service in SERVICES for method in service.methods}

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Message | Callable[[Any, Context], Any]
"""A `google.rpc.Status` refuses. What is called is given the request, or those of a stream; it
gives a message, or yields those of a stream."""


@dataclass(slots=True)
class Came:
    """A call as it came in."""

    request: Any
    """None for a stream of them."""
    metadata: dict[str, str]
    seconds_left: float
    """Until the deadline; infinite without one."""
    time: float


@dataclass(slots=True)
class Script:
    """Answers each call of a method with the next of its answers, the last for ever."""

    address: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    calls: dict[str, list[Came]] = field(default_factory=lambda: defaultdict(list))
    trailers: tuple[tuple[str, str], ...] = ()
    """What comes with a refusal."""
    open: int = 0
    """Streams that are under way."""

    def on(self, method: str, *answers: Answer) -> None:
        """From now on."""
        self.answers[method] = list(answers)

    def requests(self, method: str) -> list[Any]:
        """What calls of a method asked for."""
        return [call.request for call in self.calls[method]]

    def next_answer(self, method: str) -> Answer:
        answers = self.answers[method]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def came(self, method: str, request: Any, context: Context) -> None:
        self.calls[method].append(
            Came(
                request=request,
                metadata={
                    str(key): str(value)
                    for key, value in context.invocation_metadata() or ()
                },
                seconds_left=context.time_remaining() or float("inf"),
                time=asyncio.get_running_loop().time(),
            )
        )

    async def refuse(self, status: Status, context: Context) -> None:
        trailers: list[tuple[str, str | bytes]] = [*self.trailers]
        if status.details:
            trailers.append((DETAILS_KEY, status.SerializeToString()))
        await context.abort(CODES[status.code], status.message, tuple(trailers))


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, script: Script) -> None:
        self._script = script

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        name = str(handler_call_details.method).rpartition("/")[2]
        if name not in self._script.answers:
            return None
        handler: grpc.RpcMethodHandler[Any, Any] = self._handler(METHODS[name])
        return handler

    def _handler(self, method: MethodDescriptor) -> Any:
        script, name = self._script, method.name

        async def unary(request: Any, context: Context) -> Any:
            script.came(name, request, context)
            answer = script.next_answer(name)
            if callable(answer):
                answer = await answer(request, context)
            if isinstance(answer, Status):
                await script.refuse(answer, context)
            return answer

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            script.came(name, None if method.client_streaming else request, context)
            answer = script.next_answer(name)
            if isinstance(answer, Status):
                await script.refuse(answer, context)
            assert callable(answer)
            script.open += 1
            try:
                async with aclosing(answer(request, context)) as messages:
                    async for message in messages:
                        if isinstance(message, Status):
                            await script.refuse(message, context)
                        yield message
            finally:
                script.open -= 1

        make: Any  # The stubs know handlers that are functions, and no others.
        make = grpc.unary_unary_rpc_method_handler
        if method.client_streaming:
            make = grpc.stream_stream_rpc_method_handler
        elif method.server_streaming:
            make = grpc.unary_stream_rpc_method_handler
        return make(
            stream if method.server_streaming else unary,
            GetMessageClass(method.input_type).FromString,
            lambda message: message.SerializeToString(),
        )


@asynccontextmanager
async def scripted_server(address: str = LOCALHOST) -> AsyncIterator[Script]:
    """A scripted server on a port of its own, or at that address."""
    script = Script()
    server = grpc.aio.server(
        handlers=[_Handlers(script)], options=[("grpc.so_reuseport", 0)]
    )
    port = server.add_insecure_port(address)
    script.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield script
    finally:
        await server.stop(None)
