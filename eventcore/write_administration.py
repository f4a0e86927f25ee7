"""The port through which operators look at the write side and act on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from eventcore.command_journal import FailedCommand, FailedPlace
from eventcore.messages import CommandRecord, Lane
from eventcore.operators import Operator, Pause


class FullPolicy(Enum):
    """What happens to a command for which its lane has no room."""

    REJECT = "reject"
    """It is refused."""
    WAIT = "wait"
    """Its call is held until there is room, up to a bound; then it is refused."""
    OVERFLOW = "overflow"
    """It is stored and accepted, up to a bound, and executed when the load drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatus:
    """A lane of the command queue. Counts are of commands."""

    lane: Lane
    full_policy: FullPolicy
    depth: int
    """Slots in use."""
    capacity: int
    holding: int
    """Held back until there is room."""
    backlog: int
    """Stored and not yet executed; they hold no slot."""
    backlog_capacity: int
    oldest_age_seconds: float
    """How long the oldest that is in the lane has waited; 0 without one."""
    accepted_total: int
    """Taken in since the start."""
    refused_total: int
    """Refused since the start for want of room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStatus:
    """How the write side is."""

    store_id: str
    head_position: int
    lanes: Sequence[LaneStatus]
    pause: Pause | None
    backlog: int
    failed: int


class WriteAdministration(Protocol):
    """What operators can see and do. Every change is logged with who made it and why."""

    @property
    def store_id(self) -> str:
        """The store that positions belong to."""

    async def status(self) -> WriteStatus:
        """How the write side is now.

        Raises:
            StoreUnavailable: the store does not answer.
        """

    async def pause(self, reason: str, *, by: Operator) -> None:
        """Stops executing commands, across restarts; what comes in is stored and accepted. It
        returns when nothing more is executed. Paused before: the new reason counts, and the
        time of the first.

        Raises:
            StoreUnavailable: whether it is paused is not known.
        """

    async def resume(self, reason: str, *, by: Operator) -> None:
        """Undoes `pause`. Not paused: nothing happens.

        Raises:
            StoreUnavailable: whether it is paused is not known.
        """

    async def failed(
        self, *, after: FailedPlace | None, limit: int
    ) -> list[FailedCommand]:
        """Failed commands, the newest first, behind a place in that list."""

    async def retry(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        """Queues failed commands again, all or none. One that is not FAILED is left as it is.

        Returns:
            Their records after it, in the order given.

        Raises:
            CommandNotFound: one of them is not stored; nothing was changed.
            StoreUnavailable: whether they are queued is not known.
        """

    async def discard(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        """Gives failed commands up for good. Otherwise as `retry`."""
