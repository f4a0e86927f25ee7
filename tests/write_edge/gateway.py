"""A gateway that answers what a test says, and the CommandService in front of it, over the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from contexts.orders.view import evolve_view
from contexts.orders.write.service import CommandService
from eventcore.command_gateway import Outcome, Receipt, WaitFor
from eventcore.errors import CommandNotFound, EventCoreError, InvalidFields
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Kind,
    Trace,
)
from eventcore.rpc.server import RpcLimits
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from tests.orders.examples import ORDER_ID, PLACED
from tests.support.envelopes import an_id
from tests.support.rpc import Running, running

if TYPE_CHECKING:  # It is in the types of the stubs alone.
    from orderes.v1.command_service_pb2_grpc import CommandServiceAsyncStub

STORE_ID = "store-1"
TIME = 1_790_000_000_000_001

VIEW = evolve_view(None, ORDER_ID, PLACED, position=42, record_time=TIME)

OVERPAYMENT = ErrorRecord(
    kind=Kind.PRECONDITION,
    reason="RULE_VIOLATED",
    message="1000 is more than is due",
    rule="OVERPAYMENT",
    facts={"order_id": ORDER_ID, "amount": "1000", "due": "999"},
)
COMMAND_FAILED = ErrorRecord(
    kind=Kind.FAULT,
    reason="COMMAND_FAILED",
    message="the command failed and is kept for an operator",
    facts={"attempts": "5", "cause": "ZeroDivisionError"},
)
DISCARDED = ErrorRecord(
    kind=Kind.PRECONDITION,
    reason="COMMAND_DISCARDED",
    message="an operator gave the command up: it was a test",
)
ERRORS = {
    CommandStage.REFUSED: OVERPAYMENT,
    CommandStage.FAILED: COMMAND_FAILED,
    CommandStage.DISCARDED: DISCARDED,
}


def record_of(envelope: CommandEnvelope, stage: CommandStage) -> CommandRecord:
    """What is stored of a command that has come so far."""
    record = CommandRecord(
        command_id=envelope.command_id,
        type=envelope.type,
        stream=envelope.stream,
        fingerprint=envelope.fingerprint,
        stage=stage,
        lane=envelope.lane,
        trace=envelope.trace,
        accept_time=TIME,
        complete_time=TIME + 1,
        event_count=1,
        error=ERRORS.get(stage),
    )
    match stage:
        case CommandStage.COMMITTED:
            return replace(record, stream_version=3, position=42)
        case CommandStage.VALIDATED:
            return replace(record, accept_time=0, complete_time=0, attempts=0)
        case CommandStage.ACCEPTED:
            return replace(record, complete_time=0, attempts=0, event_count=0)
        case _:
            return replace(record, event_count=0)


def receipt(envelope: CommandEnvelope, stage: CommandStage) -> Receipt:
    """The receipt of a command that has come so far."""
    view = VIEW if stage is CommandStage.COMMITTED else None
    return Receipt(record=record_of(envelope, stage), view=view)


def committed(envelope: CommandEnvelope) -> Outcome:
    return receipt(envelope, CommandStage.COMMITTED)


@dataclass(frozen=True, slots=True)
class Sent:
    """Commands as they have come to the gateway, and how long their caller waits, and for what."""

    envelopes: Sequence[CommandEnvelope]
    wait_seconds: float | None = None
    """None for commands that are only validated."""
    wait_for: WaitFor | None = None

    @property
    def envelope(self) -> CommandEnvelope:
        (envelope,) = self.envelopes
        return envelope


@dataclass(slots=True)
class ScriptedGateway:
    """Answers each command with what the script says of it."""

    outcome_of: Callable[[CommandEnvelope], Outcome] = committed
    error: EventCoreError | None = None
    """What every call fails with, if it is set."""
    records: dict[str, CommandRecord] = field(default_factory=dict)
    """What is found, by command_id."""
    sent: list[Sent] = field(default_factory=list)
    turned: list[tuple[str, str, Trace, list[str]]] = field(default_factory=list)
    waits: list[tuple[str, float]] = field(default_factory=list)
    held: bool = False
    """Whether commands of streams are answered only by `answer`."""
    room: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a stream has room for commands, as it has at first."""
    streams: int = 0
    """How many are open."""
    waiting: list[tuple[CommandEnvelope, asyncio.Future[Outcome]]] = field(
        default_factory=list
    )
    """Commands of streams that are not answered yet."""
    store_id: str = STORE_ID

    def __post_init__(self) -> None:
        self.room.set()

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Receipt:
        self._note([envelope], wait_seconds, wait_for)
        outcome = self.outcome_of(envelope)
        if isinstance(outcome, EventCoreError):
            raise outcome
        return outcome

    async def execute_all(
        self,
        envelopes: Sequence[CommandEnvelope],
        *,
        wait_seconds: float,
        wait_for: WaitFor,
    ) -> list[Outcome]:
        self._note(envelopes, wait_seconds, wait_for)
        return [self.outcome_of(envelope) for envelope in envelopes]

    async def validate(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        self._note(envelopes, None, None)
        return [self.outcome_of(envelope) for envelope in envelopes]

    @asynccontextmanager
    async def stream(self) -> AsyncIterator["ScriptedGateway"]:
        if self.error is not None:
            raise self.error
        self.streams += 1
        try:
            yield self
        finally:
            self.streams -= 1

    async def submit(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Awaitable[Outcome]:
        await self.room.wait()
        self._note([envelope], wait_seconds, wait_for)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self.held:
            self.waiting.append((envelope, future))
        else:
            future.set_result(self.outcome_of(envelope))
        return future

    def answer(self, *places: int) -> None:
        """Answers commands of streams that wait, in this order; all that wait if none is named."""
        for place in places or range(len(self.waiting)):
            envelope, future = self.waiting[place]
            future.set_result(self.outcome_of(envelope))
        answered = set(places or range(len(self.waiting)))
        self.waiting = [
            each for place, each in enumerate(self.waiting) if place not in answered
        ]

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        fields = [violation.field for violation in error.violations]
        self.turned.append((command_type, command_id, trace, fields))

    async def find(self, command_id: str) -> Receipt:
        if self.error is not None:
            raise self.error
        if command_id not in self.records:
            raise CommandNotFound(command_id)
        return Receipt(record=self.records[command_id])

    async def wait(self, command_id: str, *, wait_seconds: float) -> Receipt:
        self.waits.append((command_id, wait_seconds))
        return await self.find(command_id)

    def _note(
        self,
        envelopes: Sequence[CommandEnvelope],
        wait_seconds: float | None,
        wait_for: WaitFor | None,
    ) -> None:
        self.sent.append(Sent(envelopes, wait_seconds, wait_for))
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class Edge:
    """The service in front of the gateway, with a client."""

    gateway: ScriptedGateway
    host: Running
    stub: "CommandServiceAsyncStub"


@asynccontextmanager
async def edge(
    gateway: ScriptedGateway | None = None, *, limits: RpcLimits | None = None
) -> AsyncIterator[Edge]:
    """Hosts the CommandService over a scripted gateway."""
    scripted = gateway or ScriptedGateway()
    service = CommandService(gateway=scripted, new_order_id=an_id)
    async with running(service.hosted(), limits=limits) as host:
        made: Any = CommandServiceStub(host.channel)
        yield Edge(scripted, host, made)
