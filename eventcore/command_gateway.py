"""The port through which a servicer sends commands and asks what became of them."""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from eventcore.errors import EventCoreError, InvalidFields
from eventcore.messages import CommandEnvelope, CommandRecord, Trace


class WaitFor(Enum):
    """When a call is answered."""

    ACCEPTED = "accepted"
    """As soon as its command is on disk, executed or not."""
    COMMITTED = "committed"
    """When it is terminal, or FAILED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a command. It is given for what is on disk, and for what was validated."""

    record: CommandRecord
    view: Any = None
    """What clients see of the aggregate as of the command's version; None unless committed."""
    deduplicated: bool = False
    """The outcome is that of an earlier call with the same command_id."""


Outcome = Receipt | EventCoreError
"""What became of a command: a receipt of what is stored, or why nothing is known to be."""


class CommandStream(Protocol):
    """Commands without a bound, from one client. It takes in only as many as are executed."""

    async def submit(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Awaitable[Outcome]:
        """Waits until there is room for a command, takes it in, and returns what will be its
        outcome. The outcome is never an exception, and never cancelled.

        Args:
            envelope: The command, of good form.
            wait_seconds: As for `CommandGateway.execute`, from when it is taken in.
            wait_for: When its outcome is known.

        Raises:
            ShuttingDown: the server drains; nothing of this command is stored.
        """


class CommandGateway(Protocol):
    """Takes commands in, bounded, and answers when their outcome is durable."""

    @property
    def store_id(self) -> str:
        """The store that positions belong to."""

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Receipt:
        """Executes a command once, or finds the outcome that it had.

        A caller that is cancelled withdraws its command, if it was not yet taken for execution,
        nothing of it is stored and no other call waits for it; otherwise the command goes on.

        Args:
            envelope: The command, of good form.
            wait_seconds: How long to wait. Once the command is taken for execution, the call waits
                for that one commit. A command that is stored then is answered ACCEPTED, any other
                is withdrawn.
            wait_for: When to answer.

        Returns:
            A receipt of any stage: refusals and failures are in its record's error.

        Raises:
            CommandQueueFull: no room in its lane, or the wait ended in it; nothing is stored.
            CommandIdReused: the id belongs to a command of other content.
            ShuttingDown: the server drains; nothing is stored.
            StoreUnavailable: what became of the command is not known.
        """

    async def execute_all(
        self,
        envelopes: Sequence[CommandEnvelope],
        *,
        wait_seconds: float,
        wait_for: WaitFor,
    ) -> list[Outcome]:
        """Executes commands that are taken in all or none; each then has an outcome of its own.

        Commands of one id and the same content are one command.

        Returns:
            The outcome of each, in the order given.

        Raises:
            InvalidFields: there are more commands for a lane than it holds; it names "commands".
            CommandQueueFull: there is no room for all of them; nothing of any is stored.
            ShuttingDown: the server drains; nothing of any is stored.
        """

    async def validate(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        """What would become of commands that are executed one after the other now.

        Nothing is stored, and no id is claimed. A command whose id is stored has the outcome that
        a repeated call gets.

        Returns:
            For each a receipt, VALIDATED or REFUSED, or the error that it would get.

        Raises:
            CommandQueueFull: too many are validated at once.
            StoreUnavailable: the store does not answer.
        """

    def stream(self) -> AbstractAsyncContextManager[CommandStream]:
        """A stream of commands, until its context is left.

        Raises:
            TooManyCalls: there are as many streams as there may be.
        """

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        """Takes note of a command whose form is wrong: it has no envelope, and goes nowhere."""

    async def find(self, command_id: str) -> Receipt:
        """What is stored of a command, without its view.

        Raises:
            CommandNotFound: nothing is.
            StoreUnavailable: the store does not answer.
        """

    async def wait(self, command_id: str, *, wait_seconds: float) -> Receipt:
        """What is stored of a command, without its view, once it is terminal or FAILED, or the wait
        is over.

        Raises:
            CommandNotFound: nothing is, and the command is not in flight either.
            StoreUnavailable: the store does not answer.
        """
