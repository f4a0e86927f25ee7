"""A small aggregate that can be made to break in every place, and commands for it.

A thing is begun once and then counts. The numbers below break it; all others are fine.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import msgspec

from eventcore.aggregate import Aggregate, CommandHandler, CommandHandlers
from eventcore.codec import EventCodec, EventSchema
from eventcore.command_gateway import Outcome
from eventcore.decider import Decider, Kind, Refusal
from eventcore.messages import (
    CommandEnvelope,
    EventEnvelope,
    Fingerprint,
    Instant,
    Lane,
    StreamId,
    Trace,
)
from eventcore.write_store import WriteStore
from tests.support.envelopes import a_stream, an_id
from write_server.aggregates import AggregateCache
from write_server.batch import BatchExecutor
from write_server.execution import Execution
from write_server.jobs import Task
from write_server.pruning import Pruning
from write_server.snapshotting import Snapshotting
from write_server.storing import CommandStoring

BREAKS_DECISION = 13
"""While the thing stands below `MENDED`."""
MENDED = 1000
BREAKS_CODEC = 14
BREAKS_FOLD = 15
BREAKS_VIEW = 16
BREAKS_SNAPSHOT = 77
"""A total that no snapshot is made of."""

CACHE_BYTES_MAX = 1_000_000

KEEP_ALL = 1_000_000
"""More events in the outbox than any test appends."""

NOW: Instant = 1_750_000_000_000_000

TRACE = Trace(
    correlation_id="flow",
    causation_id="cause",
    actor="somebody",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Begins the thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Counts on; by 0 there is nothing to do, and below 0 it is refused."""

    by: int
    times: int = 1


Command = Begin | Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The thing was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """It has counted on."""

    by: int


class Unwritable(Counted):
    """An event that the codec does not know."""


Event = Begun | Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What clients see of a thing."""

    total: int
    version: int
    position: int
    record_time: Instant


def decide(command: Command, total: int | None) -> list[Event]:
    match command:
        case Begin():
            if total is not None:
                raise Refusal(
                    kind=Kind.ALREADY_EXISTS, reason="EXISTS", message="there is one"
                )
            return [Begun()]
        case Count():
            return _count(command, total)
        case _:
            assert_never(command)


def _count(command: Count, total: int | None) -> list[Event]:
    if total is None:
        raise Refusal(kind=Kind.NOT_FOUND, reason="NOT_FOUND", message="there is none")
    if command.by == 0:
        return []
    if command.by < 0:
        raise Refusal(
            kind=Kind.PRECONDITION,
            reason="RULE_VIOLATED",
            rule="NEGATIVE",
            message=f"it stands at {total} and never goes back",
            facts={"by": str(command.by), "total": str(total)},
        )
    if command.by == BREAKS_DECISION and total < MENDED:
        raise ZeroDivisionError
    if command.by == BREAKS_CODEC:
        return [Counted(by=1), Unwritable(by=1)]
    return [Counted(by=command.by)] * command.times


def evolve(total: int | None, event: Event) -> int:
    match event:
        case Begun():
            return 0
        case Counted():
            if event.by == BREAKS_FOLD:
                raise ZeroDivisionError
            assert total is not None
            return total + event.by
        case _:
            assert_never(event)


def evolve_view(view: View | None, event: Event, envelope: EventEnvelope) -> View:
    by = event.by if isinstance(event, Counted) else 0
    if by == BREAKS_VIEW:
        raise ZeroDivisionError
    return View(
        total=by + (0 if view is None else view.total),
        version=envelope.stream_version,
        position=envelope.position,
        record_time=envelope.record_time,
    )


def nothing_yet() -> int | None:
    return None


codec: EventCodec[Event] = EventCodec([EventSchema(Begun), EventSchema(Counted)])

THING: Aggregate[Command, int | None, Event, View] = Aggregate(
    category="thing",
    decider=Decider(initial_state=nothing_yet, evolve=evolve, decide=decide),
    codec=codec,
    evolve_view=evolve_view,
    creates=frozenset({Begin}),
)

HANDLERS = CommandHandlers(
    [
        CommandHandler(command_type=Begin, aggregate=THING),
        CommandHandler(command_type=Count, aggregate=THING),
    ],
    required=["Begin", "Count"],
)


def a_command(
    command: Command | None = None,
    stream: StreamId | None = None,
    *,
    command_id: str | None = None,
    expected_version: int | None = None,
    lane: Lane = Lane.NORMAL,
    trace: Trace = TRACE,
) -> CommandEnvelope:
    """A command in its envelope; with nothing said, of an id and a stream of its own."""
    content = command or Begin()
    return CommandEnvelope(
        command_id=command_id or f"command-{next(_numbers)}",
        type=type(content).__name__,
        stream=stream or a_stream(),
        command=content,
        expected_version=expected_version,
        fingerprint=Fingerprint(
            version=1, digest=repr((content, expected_version)).encode()
        ),
        trace=trace,
        lane=lane,
    )


def count(
    stream: StreamId,
    by: int = 1,
    *,
    times: int = 1,
    command_id: str | None = None,
    expected_version: int | None = None,
) -> CommandEnvelope:
    """A command that counts on."""
    return a_command(
        Count(by=by, times=times),
        stream,
        command_id=command_id,
        expected_version=expected_version,
    )


class ThingSnapshots:
    """Things in snapshots, of any version."""

    def __init__(self, schema_version: int = 1) -> None:
        self.schema_version = schema_version

    def encode(self, state: int | None, view: View) -> bytes:
        if view.total == BREAKS_SNAPSHOT:
            raise ZeroDivisionError
        return msgspec.json.encode((state, view))

    def decode(self, payload: bytes) -> tuple[int | None, View]:
        return msgspec.json.decode(payload, type=tuple[int | None, View])


def handlers_with(snapshots: ThingSnapshots) -> CommandHandlers:
    """Handlers of things that are kept in snapshots."""
    aggregate = replace(THING, snapshots=snapshots)
    return CommandHandlers(
        [
            CommandHandler(command_type=command_type, aggregate=aggregate)
            for command_type in (Begin, Count)
        ],
        required=["Begin", "Count"],
    )


class ThingExecutor:
    """What the writer's thread does, for commands of things."""

    def __init__(
        self,
        store: WriteStore,
        *,
        clock: Callable[[], Instant],
        aggregates_max: int,
        attempts_max: int,
        retry_room: int,
        every_events: int,
        keep_events: int,
        prune_events_max: int,
        handlers: CommandHandlers,
    ) -> None:
        self.retry_room = dict.fromkeys(Lane, retry_room)
        self.cache = AggregateCache(
            aggregates_max=aggregates_max, bytes_max=CACHE_BYTES_MAX
        )
        self.snapshotting = Snapshotting(
            store=store, cache=self.cache, every_events=every_events
        )
        self.execution = Execution(
            storing=CommandStoring(
                store=store, handlers=handlers, clock=clock, attempts_max=attempts_max
            ),
            executor=BatchExecutor(
                store=store,
                handlers=handlers,
                clock=clock,
                new_event_id=an_id,
                cache=self.cache,
                snapshotting=self.snapshotting,
                attempts_max=attempts_max,
            ),
            snapshotting=self.snapshotting,
            pruning=Pruning(
                store=store, keep_events=keep_events, prune_events_max=prune_events_max
            ),
        )

    def execute(self, commands: Sequence[CommandEnvelope | str]) -> list[Outcome]:
        """Executes fresh commands, and stored ones that are named by their ids."""
        tasks = [
            Task(command, None)
            if isinstance(command, str)
            else Task(command.command_id, command)
            for command in commands
        ]
        return self.execution.execute(tasks, retry_room=self.retry_room)

    def store(self, commands: Sequence[CommandEnvelope]) -> list[Outcome]:
        """Stores commands, to be executed later."""
        return self.execution.store(commands)


def executor_over(
    store: WriteStore,
    *,
    clock: Callable[[], Instant] = lambda: NOW,
    aggregates_max: int = 100,
    attempts_max: int = 3,
    retry_room: int = 0,
    every_events: int = 0,
    keep_events: int = KEEP_ALL,
    prune_events_max: int = 100,
    handlers: CommandHandlers = HANDLERS,
) -> ThingExecutor:
    """An executor of commands for things; with nothing said, what breaks is given up at once, and
    no outbox is pruned.
    """
    return ThingExecutor(
        store,
        clock=clock,
        aggregates_max=aggregates_max,
        attempts_max=attempts_max,
        retry_room=retry_room,
        every_events=every_events,
        keep_events=keep_events,
        prune_events_max=prune_events_max,
        handlers=handlers,
    )


def begun(executor: ThingExecutor, *, counts: Sequence[int] = ()) -> StreamId:
    """The stream of a thing that was begun and has counted."""
    stream = a_stream("thing")
    for envelope in [a_command(stream=stream), *(count(stream, by) for by in counts)]:
        executor.execute([envelope])
    return stream
