"""What a write server finds at its start: what is stored and not executed, and whether it may."""

from dataclasses import dataclass

from eventcore.command_journal import QueuedCommand
from eventcore.operators import Pause
from eventcore.write_store import WriteStore

PAGE_COMMANDS = 1000
"""Commands that one query reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the process before has left."""

    commands: list[QueuedCommand]
    """In the order in which they were accepted."""
    pause: Pause | None
    failed: int
    """How many commands wait for an operator."""


def recover(store: WriteStore) -> Recovered:
    """Reads what is left. Blocking.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    commands: list[QueuedCommand] = []
    with store.begin() as unit:
        while True:
            after = commands[-1].accept_sequence if commands else 0
            page = unit.journal.queued(after_sequence=after, limit=PAGE_COMMANDS)
            commands.extend(page)
            if len(page) < PAGE_COMMANDS:
                return Recovered(
                    commands=commands,
                    pause=unit.control.pause(),
                    failed=unit.journal.failed_count(),
                )
