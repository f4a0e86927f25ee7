"""Commands of one client without a bound: taken in only as fast as they are executed."""

import asyncio
import time
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

from eventcore.command_gateway import Outcome, Receipt, WaitFor
from eventcore.errors import EventCoreError, ShuttingDown
from eventcore.messages import CommandEnvelope, CommandStage
from write_server.command_bus import CommandBus
from write_server.command_log import CommandLog
from write_server.entries import Waiting


class Complete(Protocol):
    """Reads what an outcome of the bus lacks."""

    async def __call__(
        self, envelope: CommandEnvelope, outcome: Outcome | None, *, joined: bool
    ) -> Outcome: ...


class BusStream:
    """A stream of commands. What it has taken in and nobody has executed is withdrawn with it."""

    def __init__(self, *, bus: CommandBus, complete: Complete, log: CommandLog) -> None:
        self._bus = bus
        self._complete = complete
        self._log = log
        self._waiting: dict[asyncio.Future[Outcome], Waiting] = {}
        self._completing: set[asyncio.Task[None]] = set()

    async def submit(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Awaitable[Outcome]:
        began = time.perf_counter()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            (call,) = await self._bus.submit(
                [envelope],
                wait_seconds=wait_seconds,
                wait_for=wait_for,
                of_stream=True,
            )
        except ShuttingDown:
            raise
        except EventCoreError as error:
            call = error
        if not isinstance(call, Waiting):
            self._conclude(envelope, future, call, began, joined=True)
            return future
        self._waiting[future] = call
        call.waiter.add_done_callback(
            partial(self._settled, envelope, future, call, began)
        )
        return future

    def close(self) -> None:
        """Withdraws what is not taken yet, and forgets the rest."""
        for call in self._waiting.values():
            self._bus.leave(call)
        self._waiting.clear()
        for task in self._completing:
            task.cancel()

    def _settled(
        self,
        envelope: CommandEnvelope,
        future: "asyncio.Future[Outcome]",
        call: Waiting,
        began: float,
        _waiter: object,
    ) -> None:
        if self._waiting.pop(future, None) is not None:
            self._conclude(envelope, future, call.outcome(), began, joined=call.joined)

    def _conclude(
        self,
        envelope: CommandEnvelope,
        future: "asyncio.Future[Outcome]",
        outcome: Outcome | None,
        began: float,
        *,
        joined: bool,
    ) -> None:
        if _is_complete(outcome):
            self._tell(envelope, future, outcome, began)
            return

        async def complete() -> None:
            completed = await self._complete(envelope, outcome, joined=joined)
            self._tell(envelope, future, completed, began)

        task = asyncio.create_task(complete())
        self._completing.add(task)
        task.add_done_callback(self._completing.discard)

    def _tell(
        self,
        envelope: CommandEnvelope,
        future: "asyncio.Future[Outcome]",
        outcome: Outcome | None,
        began: float,
    ) -> None:
        assert outcome is not None
        self._log.ended(envelope, outcome, began)
        if not future.done():
            future.set_result(outcome)


def _is_complete(outcome: Outcome | None) -> bool:
    """Whether nothing has to be read for it, as for all that are executed for the first time."""
    if not isinstance(outcome, Receipt):
        return False
    return (
        outcome.view is not None or outcome.record.stage is not CommandStage.COMMITTED
    )
