"""A stream of commands that comes back when it breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass

from orderes.client.envelopes import CommandRequest, envelope_of, request_in
from orderes.client.errors import CallReset, InternalFault, OrderesError
from orderes.client.options import Metadata
from orderes.client.positions import Position
from orderes.client.results import error_of, passing_error_of
from orderes.client.retrying import Patience
from orderes.client.session import Session
from orderes.v1.command_pb2 import CommandOptions
from orderes.v1.command_service_pb2 import (
    CommandEnvelope,
    CommandResult,
    StreamCommandsRequest,
    StreamCommandsResponse,
)

COMMANDS_UNANSWERED_MAX = 256
"""Commands that are taken from the caller and not answered. A server takes no more of a stream."""

ENDING_SECONDS_MAX = 1.0
"""How long the end of a stream may take whose commands are all answered."""

Commands = (
    AsyncIterable[CommandRequest | CommandEnvelope]
    | Iterable[CommandRequest | CommandEnvelope]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStreamAnswer:
    """How one command of a stream went."""

    command: CommandEnvelope
    """The command, with its command_id."""
    result: CommandResult
    """Its record, or why it has none."""

    @property
    def command_id(self) -> str:
        """With which it can be repeated."""
        return request_in(self.command).command_id

    @property
    def error(self) -> OrderesError | None:
        """What its own call would have failed with; None if it would not have."""
        return error_of(self.result)


class CommandStream:
    """Takes commands from one side and gives their answers on the other, over one call or, where
    those break, several.

    What is sent and not answered is kept, at most `COMMANDS_UNANSWERED_MAX`, and is the first that
    the next call sends. One task takes the commands in, whatever becomes of the calls: so the
    caller's iterator is never cancelled in the middle.
    """

    def __init__(
        self,
        session: Session,
        *,
        options: CommandOptions,
        metadata: Metadata,
        patience: Patience,
    ) -> None:
        self._session = session
        self._options = options
        self._metadata = metadata
        self._patience = patience
        self._unanswered: dict[int, CommandEnvelope] = {}
        """By sequence, in its order."""
        self._newest = 0
        """Sequence of the last one that was taken in."""
        self._has_room = asyncio.Event()
        self._news = asyncio.Event()
        """Something was taken in, or nothing more will be."""

    async def answers(
        self, commands: Commands
    ) -> AsyncGenerator[CommandStreamAnswer, None]:
        """The answers, in the order in which they come."""
        taking = asyncio.create_task(self._take_in(commands))
        taking.add_done_callback(lambda _: self._news.set())
        try:
            while await self._is_something_to_send(taking):
                with self._session.answering(self._metadata):
                    call = self._session.commands.StreamCommands(
                        self._requests(taking), metadata=self._metadata
                    )
                try:
                    while True:
                        over = taking.done() and not self._unanswered
                        message = await self._session.next_message(
                            call,
                            self._metadata,
                            silence_seconds=ENDING_SECONDS_MAX if over else None,
                        )
                        if (answer := self._answered(message)) is not None:
                            yield answer
                except OrderesError as error:
                    failed = _what_broke(error)
                finally:
                    call.cancel()
                # How a call ends whose commands are all answered does not matter.
                if self._unanswered or not (taking.done() or failed.retryable):
                    await self._wait_after(failed)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        # What the caller's iterator was broken by is the caller's to see.
        await taking

    async def _take_in(self, commands: Commands) -> None:
        async for command in _each(commands):
            envelope = envelope_of(command)
            request = request_in(envelope)
            if not request.HasField("options"):
                request.options.CopyFrom(self._options)
            while len(self._unanswered) >= COMMANDS_UNANSWERED_MAX:
                self._has_room.clear()
                await self._has_room.wait()
            self._newest += 1
            self._unanswered[self._newest] = envelope
            self._news.set()

    async def _is_something_to_send(self, taking: asyncio.Task[None]) -> bool:
        """Waits for it; False once there never will be."""
        while not self._unanswered and not taking.done():
            self._news.clear()
            await self._news.wait()
        return bool(self._unanswered)

    async def _requests(
        self, taking: asyncio.Task[None]
    ) -> AsyncIterator[StreamCommandsRequest]:
        """What one call sends: everything that is not answered, and then what is taken in."""
        sent = 0
        while True:
            for sequence, command in list(self._unanswered.items()):
                if sequence > sent:
                    sent = sequence
                    yield StreamCommandsRequest(sequence=sequence, command=command)
            if sent < self._newest:
                continue
            if taking.done():
                return
            # Nothing can have happened since the look at the newest one: nothing was awaited.
            self._news.clear()
            await self._news.wait()

    def _answered(self, message: StreamCommandsResponse) -> CommandStreamAnswer | None:
        """The answer to a command; None for one that was answered before.

        Raises:
            OrderesError: it is not an answer yet, because the command can be sent again.
        """
        command = self._unanswered.get(message.sequence)
        if command is None:
            return None
        if (error := passing_error_of(message.result)) is not None:
            raise error
        del self._unanswered[message.sequence]
        self._has_room.set()
        self._patience.progressed()
        self._session.seen.note(Position.of(message.result.command))
        return CommandStreamAnswer(command=command, result=message.result)

    async def _wait_after(self, error: OrderesError) -> None:
        error.command_ids = tuple(
            request_in(command).command_id for command in self._unanswered.values()
        )
        await self._patience.wait_after(error)


def _what_broke(error: OrderesError) -> OrderesError:
    """What ended a stream, as far as it is known.

    Where a write fails while the server ends the stream, the library tells of the write and hides
    the server's status: https://github.com/grpc/grpc/issues/36066.
    """
    if isinstance(error, InternalFault) and not error.reason:
        return CallReset(error.failure)
    return error


async def _each(
    commands: Commands,
) -> AsyncIterator[CommandRequest | CommandEnvelope]:
    if isinstance(commands, AsyncIterable):
        async for command in commands:
            yield command
    else:
        for command in commands:
            yield command
