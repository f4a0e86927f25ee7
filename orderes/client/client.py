"""The client of both servers."""

from types import TracebackType
from typing import Self, Unpack

from orderes.client.commands import CommandCalls
from orderes.client.options import TIMEOUT_SECONDS, Tracing, check_names
from orderes.client.positions import Position
from orderes.client.queries import QueryCalls
from orderes.client.retrying import RetryPolicy
from orderes.client.session import Session

WRITE_ADDRESS = "127.0.0.1:50051"
READ_ADDRESS = "127.0.0.1:50052"


class Client(CommandCalls, QueryCalls):
    """Sends commands, asks queries, and watches.

    It reads its own writes without being told: it remembers how far the log is in what it has
    written and read, and no answer is older than that. One client may be used by any number of
    tasks of one event loop, and is best made once: `async with Client() as client`. Leaving the
    block ends what is under way with `ClientClosed`.
    """

    def __init__(
        self,
        write_address: str = WRITE_ADDRESS,
        read_address: str = READ_ADDRESS,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: RetryPolicy | None = None,
        position: Position | None = None,
        **tracing: Unpack[Tracing],
    ) -> None:
        """Connects to nothing yet.

        Args:
            write_address: Where the CommandService listens, host:port.
            read_address: Where the QueryService listens, host:port.
            timeout_seconds: Deadline of a call, all its attempts together.
            retries: How often calls are repeated.
            position: What answers must not be older than: `position` of another client.
            tracing: Where calls come from, unless they say it themselves.

        Raises:
            ValueError: a value is out of range.
        """
        check_names(tracing, Tracing)
        self._session = Session(
            write_address=write_address,
            read_address=read_address,
            timeout_seconds=timeout_seconds,
            retries=retries or RetryPolicy(),
            tracing=tracing,
        )
        if position is not None:
            self.remember(position)

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    @property
    def position(self) -> Position | None:
        """How far the log is in what this client has written and read: hand it to another service,
        and that one reads it too. None before there was anything.
        """
        return self._session.seen.newest

    def remember(self, position: Position) -> None:
        """From now on no answer is older than this, either.

        Raises:
            ValueError: the position does not say its store.
        """
        if not position.store_id:
            raise ValueError("a position that is remembered must have its store_id")
        self._session.seen.note(position)
