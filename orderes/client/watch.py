"""A stream of events that comes back when it breaks, without a gap and without a repetition."""

from collections.abc import AsyncGenerator

from orderes.client.errors import OrderesError
from orderes.client.options import Metadata
from orderes.client.positions import Position
from orderes.client.retrying import Patience
from orderes.client.session import Session
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1.query_service_pb2 import (
    WatchMark,
    WatchOrdersRequest,
    WatchOrdersResponse,
)

CHECKPOINT_INTERVAL_SECONDS = 10.0
"""How often a server sends a mark at least, unless it is asked for another interval."""

SILENCE_MARGIN_SECONDS = 5.0
"""How late a mark may be. A stream that is silent for longer has no live server behind it."""


class Watch:
    """The events of orders, for `async for`.

    It comes back from wherever it breaks, and gives up only when it made no progress for too long
    or an error does not pass: then it raises an `OrderesError`. Leaving the loop ends the stream;
    another loop goes on after `position`. Only one loop at a time.
    """

    def __init__(
        self,
        session: Session,
        *,
        request: WatchOrdersRequest,
        metadata: Metadata,
        patience: Patience,
        after: Position | None,
        mark_seconds: float,
    ) -> None:
        self._session = session
        self._request = request
        self._metadata = metadata
        self._patience = patience
        self._position = after
        self._silence_seconds = mark_seconds + SILENCE_MARGIN_SECONDS
        self._is_caught_up = False
        self._is_new = True
        """The stream has not said anything since it was opened."""

    @property
    def position(self) -> Position | None:
        """Everything up to here was yielded: what to keep, to go on from later. None while it is
        not known where the news begin.
        """
        return self._position

    @property
    def caught_up(self) -> bool:
        """Whether the past has ended, so that what comes is news. False while it is broken."""
        return self._is_caught_up

    async def __aiter__(self) -> AsyncGenerator[RecordedEvent, None]:
        while True:
            self._is_new = True
            with self._session.answering(self._metadata):
                call = self._session.queries.WatchOrders(
                    self._next_request(), metadata=self._metadata
                )
            try:
                while True:
                    message = await self._session.next_message(
                        call, self._metadata, silence_seconds=self._silence_seconds
                    )
                    if (event := self._taken(message)) is not None:
                        yield event
            except OrderesError as error:
                failed = error
            finally:
                self._is_caught_up = False
                call.cancel()
            await self._patience.wait_after(failed)

    def _next_request(self) -> WatchOrdersRequest:
        request = WatchOrdersRequest()
        request.CopyFrom(self._request)
        if self._position is not None:
            request.after_position = self._position.position
            request.store_id = self._position.store_id
        return request

    def _taken(self, message: WatchOrdersResponse) -> RecordedEvent | None:
        """The event in a message, if it is one that was not yielded before."""
        match message.WhichOneof("content"):
            case "event":
                is_new = self._reached(message.event.position)
                return message.event if is_new else None
            case "mark":
                self._marked(message.mark)
            case None:
                pass  # Of a newer server: it is neither.
        return None

    def _marked(self, mark: WatchMark) -> None:
        if self._position is None or not self._position.store_id:
            known = 0 if self._position is None else self._position.position
            self._position = Position(position=known, store_id=mark.store_id)
        if not self._reached(mark.position) and not self._is_new:
            # Nothing happens, and the stream says so. The mark at its beginning is no progress: a
            # stream that breaks right after it would otherwise try for ever.
            self._patience.progressed()
        self._is_new = False
        self._is_caught_up = mark.caught_up

    def _reached(self, position: int) -> bool:
        """Whether it is beyond what was yielded; then it is progress."""
        known = self._position or Position(position=0)
        if position <= known.position:
            return False
        self._position = Position(position=position, store_id=known.store_id)
        self._session.seen.note(self._position)
        self._patience.progressed()
        return True
