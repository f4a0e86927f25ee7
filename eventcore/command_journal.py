"""The port of the command journal: what is accepted, what took effect, and what failed.

It has four uses: a durable queue (ACCEPTED), idempotency (the id is the key, the fingerprint tells
a retry from a reuse), the status of a command, and dead letters (FAILED). A row stays as long as
the log: idempotency does not expire. The request in it goes when the outcome is terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import (
    CommandRecord,
    Fingerprint,
    Instant,
    Lane,
    StreamId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """What a command asks for, kept while it may still have to be executed."""

    payload: str
    """The domain's command, as JSON."""
    expected_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """A command that is stored with its request: ACCEPTED or FAILED."""

    record: CommandRecord
    request: CommandRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCommand:
    """A command that is ACCEPTED, as much of it as is kept in memory."""

    accept_sequence: int
    """Its place in the order in which commands were accepted, which no clock decides."""
    command_id: str
    type: str
    stream: StreamId
    fingerprint: Fingerprint
    lane: Lane
    attempts: int
    accept_time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPlace:
    """A place in the list of failed commands: the newest first, and in it none is twice."""

    fail_time: Instant
    accept_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCommand:
    """A dead letter. Its fail_time is the record's complete_time."""

    stored: StoredCommand
    place: FailedPlace


class JournalReader(Protocol):
    """Reads the journal, as of one snapshot. Blocking."""

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        """The records of those ids that the journal holds."""

    def stored(self, command_ids: Sequence[str]) -> dict[str, StoredCommand]:
        """Those of them that are ACCEPTED or FAILED, with their requests."""

    def queued(self, *, after_sequence: int, limit: int) -> list[QueuedCommand]:
        """Up to `limit` commands that are ACCEPTED, by accept_sequence above `after_sequence`."""

    def failed(self, *, after: FailedPlace | None, limit: int) -> list[FailedCommand]:
        """Up to `limit` commands that are FAILED, the newest first, behind a place in the list."""

    def failed_count(self) -> int:
        """How many are FAILED."""


class CommandJournal(JournalReader, Protocol):
    """Changes the journal, inside a unit of work."""

    def add(self, records: Sequence[CommandRecord]) -> None:
        """Stores outcomes of commands that were not stored before, in the order given, all or none.

        Raises:
            CommandIdTaken: the journal holds one of the ids, or it is given twice. After it, the
                unit of work can only be left without a commit.
        """

    def accept(self, commands: Sequence[StoredCommand]) -> list[int]:
        """Stores commands to be executed later, or given up (FAILED), in the order given.

        Returns:
            Their accept_sequences, growing in the order given, each above all before it.

        Raises:
            CommandIdTaken: as `add`.
        """

    def begin_attempts(self, command_ids: Sequence[str]) -> None:
        """Counts an attempt of each of those that are ACCEPTED. It is committed before the attempt
        runs, so that a command which kills its process is not tried for ever.
        """

    def update(self, records: Sequence[CommandRecord]) -> None:
        """Gives stored commands another stage, with all that comes with it: stage, lane,
        complete_time, attempts, stream_version, position, event_count, error. The request goes
        when the stage is terminal.

        Raises:
            ValueError: a command is not stored, or terminal. After it, the unit of work can only be
                left without a commit.
        """

    def requeue(self, command_ids: Sequence[str]) -> list[int]:
        """Makes FAILED commands ACCEPTED again, at the end of the queue, in the order given, with
        attempts, complete_time and error as of a new one.

        Returns:
            Their new accept_sequences.

        Raises:
            ValueError: a command is not FAILED. After it, the unit of work can only be left without
                a commit.
        """
