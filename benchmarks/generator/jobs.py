"""What a load generator is asked to do, and what it answers: values that cross a pipe."""

from dataclasses import dataclass, field
from enum import Enum


class Work(Enum):
    """What the callers of a generator do."""

    PLACE = "place"
    """Each sends PlaceOrder, one after the other, until the time is over."""
    PREPARE = "prepare"
    """Places `count` orders and remembers them for PAY."""
    PAY = "pay"
    """Sends RecordPayment for orders that were prepared, `per_second`, whatever the answers."""
    BATCHES = "batches"
    """Each sends SubmitCommands with 100 PlaceOrder of lane BULK until the time is over."""
    STREAM = "stream"
    """Each sends PlaceOrder through a StreamCommands: of lane BULK until the time is over,
    or `count` of lane NORMAL."""
    ECHO = "echo"
    """Each sends what PLACE sends to a server that sends it back, until the time is over."""
    GET = "get"
    """Each sends GetOrder of one of the orders that were prepared, until the time is over."""
    LIVES = "lives"
    """Sends the first commands of `count` orders, those of an order one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Some load."""

    work: Work
    address: str
    begin: float
    """When to begin, in seconds of the monotonic clock, which all processes share."""
    callers: int = 1
    seconds: float = 0.0
    count: int = 0
    per_second: float = 0.0
    min_position: int = 0
    """What GET demands; 0 is nothing."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """How the calls and commands of a job ended."""

    ended: dict[str, int] = field(default_factory=dict)
    """Commands by stage, or by the status and the reason for which they have none."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls by status and reason."""
    seconds: float = 0.0
    """From the beginning until the time was over, or until the last answer if a number was sent."""
    succeeded: int = 0
    """Commands that were answered within those seconds, with a stage."""
    latencies: list[float] = field(default_factory=list)
    """Of the calls that were OK, in seconds."""
    accepted: list[str] = field(default_factory=list)
    """Which commands were answered ACCEPTED, if the job is LIVES."""

    def count(self, command: str) -> None:
        """Counts a command."""
        self.ended[command] = self.ended.get(command, 0) + 1

    def count_call(self, status: str) -> None:
        """Counts a call."""
        self.calls[status] = self.calls.get(status, 0) + 1
