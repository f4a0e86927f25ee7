"""A command while the bus has it, and the calls that wait for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias

from eventcore.command_gateway import Outcome, Receipt, WaitFor
from eventcore.command_journal import QueuedCommand
from eventcore.errors import EventCoreError
from eventcore.messages import CommandEnvelope, Fingerprint, Lane, StreamId

Waiter: TypeAlias = "asyncio.Future[Outcome | None]"
"""Of one call. None says that its command is stored and will be executed."""


class Place(Enum):
    """Where a command is on its way."""

    NEW = "new"
    """Not in the bus yet."""
    HELD = "held"
    """Waits for room."""
    QUEUED = "queued"
    """Waits in its lane, or behind a command of its stream that is tried again."""
    STORING = "storing"
    """Waits in the same way, and is being stored."""
    TAKEN = "taken"
    """The writer has it."""


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """A command in the bus. One that is stored keeps no more than is needed to find it again."""

    command_id: str
    stream: StreamId
    fingerprint: Fingerprint
    lane: Lane
    envelope: CommandEnvelope | None
    """None once it is stored."""
    since: float
    """When it came, in seconds of the event loop's clock."""
    place: Place = Place.NEW
    stored: bool = False
    holds_slot: bool = False
    of_stream: bool = False
    """It came through StreamCommands."""
    attempts: int = 0
    """That have begun before, and did not end well."""
    calls: "dict[Waiting, None]" = field(default_factory=dict)
    """That wait for it, in order."""
    group: "Group | None" = None
    """With which it is held back."""

    @property
    def waits_in_memory_alone(self) -> bool:
        """Whether it waits in its lane, and nobody but this process knows of it."""
        return self.place is Place.QUEUED and not self.stored

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what has ended a process."""
        return self.attempts > 0

    def call(self, wait_for: WaitFor, *, joined: bool) -> "Waiting":
        """Takes in a call that waits for the command."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        waiting = Waiting(self, waiter, joined, wait_for)
        self.calls[waiting] = None
        return waiting

    def tell(self, outcome: Outcome | None) -> None:
        """Answers all calls."""
        self._tell(outcome, list(self.calls))

    def tell_stored(self, receipt: Receipt | None) -> None:
        """Answers those for which it is enough that the command is stored."""
        accepted = WaitFor.ACCEPTED
        enough = [c for c in self.calls if c.is_late or c.wait_for is accepted]
        self._tell(receipt, enough)

    def tell_late(self, error: EventCoreError) -> None:
        """Answers those whose time was over when the commit under way failed."""
        self._tell(error, [call for call in self.calls if call.is_late])

    def _tell(self, outcome: Outcome | None, calls: "Sequence[Waiting]") -> None:
        for call in calls:
            del self.calls[call]
            call.end(outcome)


@dataclass(slots=True, eq=False)
class Waiting:
    """A call that waits for the outcome of a command."""

    entry: Entry
    waiter: Waiter
    joined: bool
    """The command was there before the call."""
    wait_for: WaitFor
    is_late: bool = False
    """Its time is over, and it waits for no more than the commit that is under way."""
    timer: asyncio.TimerHandle | None = None

    def outcome(self) -> Outcome | None:
        """What the waiter has got, as it is for this call."""
        outcome = self.waiter.result()
        if isinstance(outcome, Receipt) and self.joined:
            return replace(outcome, deduplicated=True)
        return outcome

    def end(self, outcome: Outcome | None) -> None:
        """Gives the call its outcome. It is not among the calls of its command any more."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.waiter.done():
            self.waiter.set_result(outcome)

    def abandon(self) -> None:
        """Ends the call without an outcome: nobody waits for it."""
        if self.timer is not None:
            self.timer.cancel()
        self.waiter.cancel()


@dataclass(slots=True, eq=False)
class Group:
    """Commands that are taken in all or none."""

    entries: Sequence[Entry]
    wait_seconds: float
    of_stream: bool = False
    admitted: "asyncio.Future[EventCoreError | None] | None" = None
    """Of one that is held back: None when it is let in, or why it never is."""

    def end_holding(self, error: EventCoreError | None = None) -> None:
        """Tells the call that its group is let in, or why it never is."""
        if self.admitted is not None and not self.admitted.done():
            self.admitted.set_result(error)


@dataclass(frozen=True, slots=True)
class Work:
    """What the writer does next: first it executes, then it stores."""

    to_store: list[Entry]
    to_execute: list[Entry]

    def __bool__(self) -> bool:
        return bool(self.to_store or self.to_execute)


def fresh_entry(
    envelope: CommandEnvelope, *, now: float, of_stream: bool = False
) -> Entry:
    """A command that comes in."""
    return Entry(
        command_id=envelope.command_id,
        stream=envelope.stream,
        fingerprint=envelope.fingerprint,
        lane=envelope.lane,
        envelope=envelope,
        since=now,
        of_stream=of_stream,
    )


def stored_entry(queued: QueuedCommand, *, since: float) -> Entry:
    """A command that was stored to be executed later."""
    return Entry(
        command_id=queued.command_id,
        stream=queued.stream,
        fingerprint=queued.fingerprint,
        lane=queued.lane,
        envelope=None,
        since=since,
        stored=True,
        attempts=queued.attempts,
    )
