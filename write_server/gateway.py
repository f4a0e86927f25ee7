"""Where calls meet the bus, the journal and the log: the gateway that servicers use."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from eventcore.command_gateway import CommandStream, Outcome, Receipt, WaitFor
from eventcore.errors import (
    CommandNotFound,
    CommandQueueFull,
    EventCoreError,
    InvalidFields,
    StoreUnavailable,
    TooManyCalls,
)
from eventcore.messages import TERMINAL, CommandEnvelope, CommandStage, Trace
from write_server.batch import stored_outcome
from write_server.command_bus import CommandBus
from write_server.command_log import CommandLog
from write_server.entries import Waiting
from write_server.lookup import Lookup
from write_server.streams import BusStream

POLL_SECONDS = 0.05
"""Between two looks at a command that is stored and that this process knows nothing of."""


class BusGateway:
    """Executes commands through the bus, and answers repeated ones from the journal."""

    def __init__(
        self,
        *,
        store_id: str,
        bus: CommandBus,
        lookup: Lookup,
        command_log: CommandLog,
        streams_max: int,
    ) -> None:
        self.store_id = store_id
        self._bus = bus
        self._lookup = lookup
        self._log = command_log
        self._streams_max = streams_max
        self._streams = 0

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Receipt:
        began = time.perf_counter()
        try:
            receipt = await self._executed(envelope, wait_seconds, wait_for)
        except Exception as error:
            self._log.ended(envelope, error, began)
            raise
        except asyncio.CancelledError:
            self._log.abandoned(envelope, began)
            raise
        self._log.ended(envelope, receipt, began)
        return receipt

    async def execute_all(
        self,
        envelopes: Sequence[CommandEnvelope],
        *,
        wait_seconds: float,
        wait_for: WaitFor,
    ) -> list[Outcome]:
        began = time.perf_counter()
        outcomes: list[Outcome] = []
        try:
            outcomes = await self._all_executed(envelopes, wait_seconds, wait_for)
        except EventCoreError as error:
            self._log.all_turned_away(envelopes, error, began)
            raise
        except asyncio.CancelledError:
            for envelope in envelopes:
                self._log.abandoned(envelope, began)
            raise
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            self._log.ended(envelope, outcome, began)
        return outcomes

    async def validate(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        began = time.perf_counter()
        outcomes = await self._lookup.validate(envelopes, full=self._validations_full)
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            self._log.ended(envelope, outcome, began)
        return outcomes

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[CommandStream]:
        if self._streams >= self._streams_max:
            raise TooManyCalls(
                f"the server has {self._streams} streams of commands under way, as many as "
                "it takes: use one of them, or come back later",
                limit=self._streams_max,
            )
        self._streams += 1
        stream = BusStream(bus=self._bus, complete=self._complete, log=self._log)
        try:
            yield stream
        finally:
            self._streams -= 1
            stream.close()

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        self._log.turned_away(command_type, command_id, trace, error)

    async def find(self, command_id: str) -> Receipt:
        record = await self._lookup.find(command_id)
        if record is None:
            raise CommandNotFound(command_id)
        return Receipt(record=record)

    async def wait(self, command_id: str, *, wait_seconds: float) -> Receipt:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while True:
            await self._bus.watch(command_id, wait_seconds=deadline - loop.time())
            receipt = await self.find(command_id)
            stage = receipt.record.stage
            left = deadline - loop.time()
            settled = stage in TERMINAL or stage is CommandStage.FAILED
            if settled or left <= 0 or self._bus.closed:
                return receipt
            # It is stored, and about to come into the bus, or to leave it.
            await asyncio.sleep(min(left, POLL_SECONDS))

    async def _executed(
        self, envelope: CommandEnvelope, wait_seconds: float, wait_for: WaitFor
    ) -> Receipt:
        call: Waiting | EventCoreError | None = None
        if not await self._is_known_to_a_full_lane(envelope):
            try:
                (call,) = await self._bus.submit(
                    [envelope], wait_seconds=wait_seconds, wait_for=wait_for
                )
            except CommandQueueFull as full:
                call = full
        if isinstance(call, Waiting):
            await self._bus.wait([call])
        outcome = await self._outcome(envelope, call)
        if isinstance(outcome, EventCoreError):
            # Calls that joined get the same error; each begins its own traceback.
            raise outcome.with_traceback(None)
        return outcome

    async def _is_known_to_a_full_lane(self, envelope: CommandEnvelope) -> bool:
        """Whether the call would be held back for room that its command does not need."""
        if not self._bus.admission.holds_calls(envelope.stream, envelope.lane):
            return False
        try:
            record = await self._lookup.find(envelope.command_id)
        except StoreUnavailable:
            return False
        # One that is ACCEPTED is in flight: the call joins it, and needs no room either.
        return record is not None and record.stage is not CommandStage.ACCEPTED

    async def _outcome(
        self, envelope: CommandEnvelope, call: Waiting | EventCoreError | None
    ) -> Outcome:
        if isinstance(call, Waiting):
            outcome = call.outcome()
            return await self._complete(envelope, outcome, joined=call.joined)
        return await self._complete(envelope, call, joined=True)

    async def _complete(
        self, envelope: CommandEnvelope, outcome: Outcome | None, *, joined: bool
    ) -> Outcome:
        """An outcome of the bus with what has to be read for it. It never raises."""
        try:
            if self._may_be_known(outcome):
                # Room, and a store that can be written to, are for new commands. One that was
                # executed before needs neither: its outcome is what it always was.
                record = await self._lookup.find(envelope.command_id)
                if record is None:
                    return outcome or CommandNotFound(envelope.command_id)
                known = stored_outcome(record, envelope)
                if outcome is None and not joined and isinstance(known, Receipt):
                    known = replace(known, deduplicated=False)
                outcome = known
            if isinstance(outcome, Receipt):
                return await self._lookup.with_view(outcome)
        except EventCoreError as error:
            return error
        assert outcome is not None  # It may be known, and was found or not.
        return outcome

    def _may_be_known(self, outcome: Outcome | None) -> bool:
        """Whether the journal may know of more than an outcome of the bus tells."""
        if isinstance(outcome, StoreUnavailable):
            # After an I/O error nothing is answered from a file that cannot be trusted.
            return not self._bus.closed
        return outcome is None or isinstance(outcome, CommandQueueFull)

    async def _all_executed(
        self,
        envelopes: Sequence[CommandEnvelope],
        wait_seconds: float,
        wait_for: WaitFor,
    ) -> list[Outcome]:
        submitted = await self._submitted(envelopes, wait_seconds, wait_for)
        await self._bus.wait([call for call in submitted if isinstance(call, Waiting)])
        return [
            await self._outcome(envelope, call)
            for envelope, call in zip(envelopes, submitted, strict=True)
        ]

    async def _submitted(
        self,
        envelopes: Sequence[CommandEnvelope],
        wait_seconds: float,
        wait_for: WaitFor,
    ) -> "list[Waiting | EventCoreError | None]":
        try:
            return await self._bus.submit(
                envelopes, wait_seconds=wait_seconds, wait_for=wait_for
            )
        except CommandQueueFull:
            # Those that were executed before need no room; perhaps there is enough for the others.
            known = await self._lookup.find_all([e.command_id for e in envelopes])
            if not known:
                raise
        fresh = [e for e in envelopes if e.command_id not in known]
        calls = iter(
            await self._bus.submit(fresh, wait_seconds=wait_seconds, wait_for=wait_for)
        )
        return [None if e.command_id in known else next(calls) for e in envelopes]

    def _validations_full(self, envelope: CommandEnvelope) -> CommandQueueFull:
        return self._bus.admission.full(
            envelope.lane, "too many commands are validated at once"
        )
