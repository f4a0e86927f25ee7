"""What the calls of one client share: its connections, and how a call is made."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import grpc.aio
from google.protobuf.message import Message

from orderes.client.channels import open_channel
from orderes.client.errors import (
    CallReset,
    ClientClosed,
    OrderesError,
    Unavailable,
    error_from,
)
from orderes.client.failure import failure_here, failure_of
from orderes.client.options import (
    CallOptions,
    Metadata,
    Tracing,
    checked_timeout,
    metadata_of,
    timeout_of,
)
from orderes.client.positions import SeenPositions
from orderes.client.retrying import Patience, Repeating, RetryPolicy
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

if TYPE_CHECKING:  # They are in the types of the stubs alone.
    from orderes.v1.command_service_pb2_grpc import CommandServiceAsyncStub
    from orderes.v1.query_service_pb2_grpc import QueryServiceAsyncStub

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)


class Session:
    """Two connections, and what is known of the stores behind them."""

    def __init__(
        self,
        *,
        write_address: str,
        read_address: str,
        timeout_seconds: float,
        retries: RetryPolicy,
        tracing: Tracing,
    ) -> None:
        self._addresses = (write_address, read_address)
        self._timeout_seconds = checked_timeout(timeout_seconds)
        self._retries = retries
        self._tracing = tracing
        self._channels = AsyncExitStack()
        self._stubs: tuple[CommandServiceAsyncStub, QueryServiceAsyncStub] | None = None
        self._is_closed = False
        self.seen = SeenPositions()
        metadata_of(tracing, {})

    async def open(self) -> None:
        """Makes calls possible. Nothing is connected until there is one.

        Raises:
            RuntimeError: it was opened before.
        """
        if self._is_closed or self._stubs is not None:
            raise RuntimeError("a client is opened once: make another one")
        write, read = [
            await self._channels.enter_async_context(open_channel(address))
            for address in self._addresses
        ]
        self._stubs = (CommandServiceStub(write), QueryServiceStub(read))

    async def close(self) -> None:
        """Ends the calls that are under way, with `ClientClosed`, and the connections."""
        self._is_closed = True
        await self._channels.aclose()

    @property
    def commands(self) -> "CommandServiceAsyncStub":
        """The CommandService."""
        return self._open_stubs()[0]

    @property
    def queries(self) -> "QueryServiceAsyncStub":
        """The QueryService."""
        return self._open_stubs()[1]

    def repeating(
        self, given: CallOptions, *, wait_seconds: float | None = None
    ) -> Repeating:
        """The attempts of a call that asks the server to wait so long."""
        return Repeating(
            self._retries,
            seconds=timeout_of(
                given, default=self._timeout_seconds, wait_seconds=wait_seconds
            ),
            attempts_max=self._retries.attempts_max,
        )

    def patience(self, give_up_seconds: float | None) -> Patience:
        """How long a stream goes on trying to come back."""
        return Patience(self._retries, give_up_seconds=give_up_seconds)

    def metadata(self, given: Tracing) -> Metadata:
        """What a call carries with it."""
        return metadata_of(self._tracing, given)

    async def call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[RequestT, AnswerT]",
        request: RequestT,
        given: Tracing,
        *,
        repeating: Repeating,
        command_ids: Sequence[str] = (),
        final: tuple[type[OrderesError], ...] = (),
    ) -> AnswerT:
        """Makes a call, as often as it takes.

        Args:
            method: Of one of the stubs.
            request: What is sent, each time the same.
            given: Where it comes from.
            repeating: Its attempts.
            command_ids: The commands in it.
            final: Errors that are not to be waited for, though they may pass.

        Raises:
            OrderesError: what the last attempt failed with.
        """
        metadata = self.metadata(given)
        while True:
            try:
                with self.answering(metadata, command_ids):
                    return await method(
                        request, timeout=repeating.seconds_left, metadata=metadata
                    )
            except final:
                raise
            except OrderesError as error:
                await repeating.wait_after(error)

    @contextmanager
    def answering(
        self, metadata: Metadata, command_ids: Sequence[str] = ()
    ) -> Iterator[None]:
        """Around what waits for a server: its errors are those of this library."""
        sent = dict(metadata)
        try:
            yield
        except grpc.RpcError as error:
            raise error_from(
                failure_of(error),
                command_ids=command_ids,
                correlation_id=sent.get("x-correlation-id", ""),
            ) from error
        except asyncio.CancelledError:
            # The library cancels what waits for a channel that is closed, or for a stream whose end
            # it could not send: nobody has cancelled the task then.
            if _is_cancelled():
                raise
            raise self._ended_here(command_ids) from None
        except grpc.aio.UsageError:
            if not self._is_closed:
                raise
            raise self._ended_here(command_ids) from None

    async def next_message(
        self,
        call: "grpc.aio.UnaryStreamCall[RequestT, AnswerT] "
        "| grpc.aio.StreamStreamCall[RequestT, AnswerT]",
        metadata: Metadata,
        *,
        silence_seconds: float | None = None,
    ) -> AnswerT:
        """The next message of a stream that has no end of its own.

        Raises:
            OrderesError: it broke, or the server ended it, or nothing came for too long.
        """
        with self.answering(metadata):
            try:
                async with asyncio.timeout(silence_seconds):
                    message = await call.read()
            except TimeoutError:
                raise _broken(f"nothing came for {silence_seconds:g} s") from None
        if message is grpc.aio.EOF:
            raise _broken("the server ended the stream")
        return message  # type: ignore[return-value]  # What is not the end is a message.

    def _ended_here(self, command_ids: Sequence[str]) -> OrderesError:
        made: type[OrderesError] = CallReset
        message = "the call was ended on this side, and not by its caller"
        if self._is_closed:
            made, message = ClientClosed, "the client was closed before the call ended"
        failure = failure_here(grpc.StatusCode.CANCELLED, message)
        return made(failure, command_ids=command_ids)

    def _open_stubs(
        self,
    ) -> tuple["CommandServiceAsyncStub", "QueryServiceAsyncStub"]:
        if self._stubs is None:
            raise RuntimeError("the client is not open: use it by `async with`")
        return self._stubs


def _is_cancelled() -> bool:
    """Whether somebody has cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _broken(message: str) -> Unavailable:
    return Unavailable(failure_here(grpc.StatusCode.UNAVAILABLE, message))
