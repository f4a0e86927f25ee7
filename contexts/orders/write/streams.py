"""Streams of commands: one client, commands without a bound, and memory that has one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from functools import partial

from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import Delivery
from contexts.orders.write.requests import (
    command_envelope,
    read_command,
    read_trace,
    request_in,
    trace_of,
)
from contexts.orders.write.results import command_result
from eventcore.command_gateway import CommandGateway, CommandStream, Outcome
from eventcore.errors import (
    EventCoreError,
    FieldViolation,
    InvalidFields,
    ShuttingDown,
)
from eventcore.fields import FieldFaults
from eventcore.messages import CommandEnvelope
from eventcore.rpc.call import Call
from orderes.v1 import command_service_pb2 as pb2

COMMANDS_UNANSWERED_MAX = 256
"""Commands of one stream that are taken in and whose answers are not sent yet. It bounds the memory
of a client that sends and never reads, and is more than a batch of the writer takes at once."""

_PREFIX = "command."
"""Before the fields of a command, as they are named in a message of a stream."""

_NO_COMMAND = FieldViolation("command", "required: a command")


class CommandExchange:
    """Takes the commands of a stream in and gives their answers, in the order of completion.

    One task reads, and reads the next message only when there is room for its answer; so a client
    that is faster than the writer, or does not read, is held back by flow control. A command costs
    no task: its outcome comes by a callback.
    """

    def __init__(
        self,
        *,
        gateway: CommandGateway,
        stream: CommandStream,
        new_order_id: Callable[[], str],
        call: Call,
    ) -> None:
        self._gateway = gateway
        self._stream = stream
        self._new_order_id = new_order_id
        self._call = call
        self._trace = trace_of(call)
        self._answers: deque[pb2.StreamCommandsResponse] = deque()
        self._unanswered = 0
        self._room = asyncio.Event()
        self._news = asyncio.Event()

    async def answers(
        self, requests: AsyncIterator[pb2.StreamCommandsRequest]
    ) -> AsyncGenerator[pb2.StreamCommandsResponse, None]:
        """Answers until the client has ended its side or the server drains, and all that was taken
        in is answered.

        Raises:
            InvalidFields: a message was malformed.
            ShuttingDown: the server drains.
        """
        reading = asyncio.create_task(self._read(requests))
        drain = asyncio.create_task(self._call.draining.wait())
        drain.add_done_callback(lambda _: reading.cancel())
        reading.add_done_callback(lambda _: self._news.set())
        try:
            while not reading.done() or self._unanswered:
                await self._news.wait()
                self._news.clear()
                while self._answers:
                    yield self._answers.popleft()
                    # Only now it is sent, and no more memory of ours.
                    self._unanswered -= 1
                    self._room.set()
        finally:
            drain.cancel()
            reading.cancel()
            await asyncio.gather(reading, drain, return_exceptions=True)
        if reading.cancelled():
            raise ShuttingDown
        reading.result()

    async def _read(self, requests: AsyncIterator[pb2.StreamCommandsRequest]) -> None:
        while True:
            while self._unanswered >= COMMANDS_UNANSWERED_MAX:
                self._room.clear()
                await self._room.wait()
            try:
                message = await anext(requests)
            except StopAsyncIteration:
                return
            await self._take(message)

    async def _take(self, message: pb2.StreamCommandsRequest) -> None:
        """Takes a command in, or answers at once what is wrong with it.

        A cancelled one was not taken in.
        """
        sequence = message.sequence
        request = request_in(message.command)
        if request is None:
            self._answer(sequence, {}, InvalidFields([_NO_COMMAND]))
            return
        faults = FieldFaults(prefix=_PREFIX)
        trace = read_trace(message.command, self._trace, faults)
        read = read_command(request, trace, faults)
        delivery = wire.delivery(request.options, faults)
        if faults.violations:
            error = InvalidFields(faults.violations)
            self._gateway.turned_away(read.type, read.command_id, read.trace, error)
            self._answer(sequence, read.subject, error)
            return
        envelope = command_envelope(read, delivery, new_order_id=self._new_order_id)
        await self._send(sequence, envelope, delivery)

    async def _send(
        self, sequence: int, envelope: CommandEnvelope, delivery: Delivery
    ) -> None:
        subject = {"command_id": envelope.command_id, "order_id": envelope.stream.key}
        if delivery.validate_only:
            # One at a time: nothing is gained by more, and none is left behind at the end.
            self._answer(sequence, subject, await self._validated(envelope))
            return
        outcome = await self._stream.submit(
            envelope,
            wait_seconds=delivery.max_wait_seconds,
            wait_for=delivery.wait_for,
        )
        self._unanswered += 1
        asyncio.ensure_future(outcome).add_done_callback(
            partial(self._ended, sequence, subject)
        )

    async def _validated(self, envelope: CommandEnvelope) -> Outcome:
        try:
            (outcome,) = await self._gateway.validate([envelope])
        except EventCoreError as error:
            return error
        return outcome

    def _ended(
        self,
        sequence: int,
        subject: Mapping[str, str],
        outcome: asyncio.Future[Outcome],
    ) -> None:
        self._put(sequence, subject, outcome.result())

    def _answer(
        self, sequence: int, subject: Mapping[str, str], outcome: Outcome
    ) -> None:
        """Answers a message whose command was not taken in."""
        self._unanswered += 1
        self._put(sequence, subject, outcome)

    def _put(self, sequence: int, subject: Mapping[str, str], outcome: Outcome) -> None:
        self._answers.append(
            pb2.StreamCommandsResponse(
                sequence=sequence,
                result=command_result(
                    outcome,
                    store_id=self._gateway.store_id,
                    subject=subject,
                    call=self._call,
                ),
            )
        )
        self._news.set()
