"""What a write store in memory holds, so that a moment of it can be read while others commit."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from eventcore.command_journal import CommandRequest
from eventcore.messages import CommandRecord, EventEnvelope, StreamId
from eventcore.operators import Pause
from eventcore.snapshots import Snapshot

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Versions(Generic[Key, Value]):
    """Values by key, each with the number of the commit that stored it.

    What is there is never changed, only put beside: so a number of commits is a snapshot.
    """

    def __init__(self) -> None:
        self._versions: dict[Key, list[tuple[int, Value]]] = {}

    def get(self, key: Key, *, commits: int) -> Value | None:
        """The value after so many commits, if there was one."""
        for commit, value in reversed(self._versions.get(key, [])):
            if commit <= commits:
                return value
        return None

    def put(self, key: Key, value: Value, *, commit: int) -> None:
        """Stores a value by a commit later than all before it."""
        self._versions.setdefault(key, []).append((commit, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """A command as the journal holds it."""

    accept_sequence: int
    record: CommandRecord
    request: CommandRequest | None
    """None once the stage is terminal."""


@dataclass(slots=True)
class Tables:
    """What is committed. Lists only grow, so that a length is a snapshot."""

    store_id: str
    log: list[EventEnvelope] = field(default_factory=list)
    streams: dict[StreamId, list[EventEnvelope]] = field(default_factory=dict)
    outbox: list[int] = field(default_factory=list)
    """Every position that was ever in it, in order."""
    outbox_pruned: int = 0
    """How many of them, the lowest, were taken out."""
    journal: Versions[str, JournalRow] = field(default_factory=Versions)
    requested: list[str] = field(default_factory=list)
    """The ids of the commands that were stored with a request: few, beside all of them."""
    accept_sequence: int = 0
    """The newest one."""
    snapshots: Versions[StreamId, Snapshot] = field(default_factory=Versions)
    pause: Pause | None = None
    commits: int = 0
    committing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a commit shows itself, so that a snapshot sees all of it or nothing."""
