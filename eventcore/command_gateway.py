"""The port through which a servicer sends commands and asks what became of them."""

from dataclasses import dataclass
from typing import Any, Protocol

from eventcore.errors import InvalidFields
from eventcore.messages import CommandEnvelope, CommandRecord, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a command. It is given only for what is on disk."""

    record: CommandRecord
    view: Any = None
    """What clients see of the aggregate as of the command's version; None unless committed."""
    deduplicated: bool = False
    """The outcome is that of an earlier call with the same command_id."""


class CommandGateway(Protocol):
    """Takes commands in, bounded, and answers when their outcome is durable."""

    @property
    def store_id(self) -> str:
        """The store that positions belong to."""

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float
    ) -> Receipt:
        """Executes a command once, or finds the outcome that it had.

        A caller that is cancelled withdraws its command, if it was not yet taken for execution and
        no other call waits for it; otherwise the command goes on.

        Args:
            envelope: The command, of good form.
            wait_seconds: How long to wait for it to be taken for execution. Once it is, the call
                waits for that one commit.

        Raises:
            CommandQueueFull: no room in its lane, or the wait ended in it; nothing is stored.
            CommandIdReused: the id belongs to a command of other content.
            ShuttingDown: the server drains; nothing is stored.
            StoreUnavailable: what became of the command is not known.
        """

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        """Takes note of a command whose form is wrong: it has no envelope, and goes nowhere."""

    async def find(self, command_id: str) -> Receipt:
        """The stored outcome of a command, without its view.

        Raises:
            CommandNotFound: none is stored.
            StoreUnavailable: the store does not answer.
        """
