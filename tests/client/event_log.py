"""A log that a scripted server streams, and the places where the stream breaks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.rpc.status_pb2 import Status

from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1.query_service_pb2 import (
    WatchMark,
    WatchOrdersRequest,
    WatchOrdersResponse,
)
from tests.client.examples import STORE


def mark(
    position: int, *, caught_up: bool = False, store_id: str = STORE
) -> WatchOrdersResponse:
    return WatchOrdersResponse(
        mark=WatchMark(position=position, caught_up=caught_up, store_id=store_id)
    )


def event(position: int) -> WatchOrdersResponse:
    return WatchOrdersResponse(event=RecordedEvent(position=position))


@dataclass(frozen=True, slots=True)
class Break:
    """Where one stream ends."""

    after_messages: int
    status: Status | None
    """None is an end without an error."""


@dataclass(slots=True)
class EventLog:
    """Speaks WatchOrders as the contract has it, and breaks as it is told to."""

    length: int
    matching: frozenset[int]
    """Positions of the events that the filter lets through."""
    marked: frozenset[int] = frozenset()
    """Positions after which there is a mark."""
    breaks: Sequence[Break] = ()
    """Of the first streams; those after them go on for ever."""
    heads: Sequence[int] = ()
    """How long the log is when each of the first streams begins, for one that begins at its end."""
    streams: int = 0

    async def watch(
        self, request: WatchOrdersRequest, _: Any
    ) -> AsyncIterator[WatchOrdersResponse | Status]:
        number = self.streams
        self.streams += 1
        broken = self.breaks[number] if number < len(self.breaks) else None
        for sent, message in enumerate(self._messages(request, number)):
            if broken is not None and sent == broken.after_messages:
                break
            yield message
        if broken is None:
            await asyncio.Event().wait()
        elif broken.status is not None:
            yield broken.status

    def _messages(
        self, request: WatchOrdersRequest, number: int
    ) -> list[WatchOrdersResponse]:
        head = self.heads[number] if number < len(self.heads) else self.length
        has_start = request.HasField("after_position")
        start = request.after_position if has_start else head
        messages = [mark(start, caught_up=start == self.length)]
        for position in range(start + 1, self.length + 1):
            if position in self.matching:
                messages.append(event(position))
            if position in self.marked:
                messages.append(mark(position, caught_up=position == self.length))
        return messages


@dataclass(slots=True)
class Messages:
    """Streams that say exactly this, one after the other, and then nothing more."""

    streams: Sequence[Sequence[WatchOrdersResponse | Status]]
    begun: int = 0

    async def watch(
        self, _request: Any, _: Any
    ) -> AsyncIterator[WatchOrdersResponse | Status]:
        number = self.begun
        self.begun += 1
        for message in self.streams[min(number, len(self.streams) - 1)]:
            yield message
        await asyncio.Event().wait()
