"""The port of the command journal: which commands took effect, and how."""

from collections.abc import Sequence
from typing import Protocol

from eventcore.messages import CommandRecord


class JournalReader(Protocol):
    """Reads the journal, as of one snapshot. Blocking."""

    def find(self, command_ids: Sequence[str]) -> dict[str, CommandRecord]:
        """The records of those ids that the journal holds."""


class CommandJournal(JournalReader, Protocol):
    """Adds outcomes, inside a unit of work.

    A record stays as long as the log: idempotency does not expire.
    """

    def add(self, records: Sequence[CommandRecord]) -> None:
        """Stores outcomes, in the order given, all or none.

        Raises:
            CommandIdTaken: the journal holds one of the ids, or it is given twice. After it, the
                unit of work can only be left without a commit.
        """
