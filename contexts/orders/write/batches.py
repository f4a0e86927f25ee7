"""Batches of commands: their form is checked as a whole, and every fault in it is named."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from contexts.orders.wire import commands as wire
from contexts.orders.wire.commands import Delivery
from contexts.orders.write.requests import (
    ReadCommand,
    read_command,
    read_trace,
    request_in,
)
from eventcore.errors import InvalidFields
from eventcore.fields import FieldFaults
from eventcore.messages import Trace
from orderes.v1 import command_service_pb2 as pb2

COMMANDS_MAX = 100
"""Of one batch. They take a transaction of the writer together, and so bound how long all others
wait for it."""

COMMANDS_PER_TURN = 10
"""That are read, or answered, before other calls have a turn: a hundred take some ten milliseconds,
and a payment must not wait for that."""


async def give_way(count: int) -> None:
    """Lets other calls have a turn, after so many commands of one call."""
    if count % COMMANDS_PER_TURN == 0:
        await asyncio.sleep(0)


class TurnedAway(Protocol):
    """Takes note of a command whose form is wrong."""

    def __call__(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None: ...


async def read_batch(
    request: pb2.SubmitCommandsRequest,
    trace: Trace,
    faults: FieldFaults,
    turned_away: TurnedAway,
) -> tuple[Sequence[ReadCommand], Delivery]:
    """The commands of a batch, and how all of them are delivered.

    Args:
        request: The batch.
        trace: Where it comes from.
        faults: What is wrong with its metadata; it gets all that is wrong.
        turned_away: Is told of every command that is at fault.
    """
    count = len(request.commands)
    if not 1 <= count <= COMMANDS_MAX:
        faults.add(
            "commands",
            f"has {count} commands, at most {COMMANDS_MAX} are allowed"
            if count
            else f"required: 1 to {COMMANDS_MAX} commands",
        )
    commands: list[ReadCommand] = []
    for index, message in enumerate(request.commands[:COMMANDS_MAX]):
        await give_way(index)
        command = _read(message, trace, f"commands[{index}]", faults, turned_away)
        if command is not None:
            commands.append(command)
    delivery = wire.delivery(request.options, faults)
    return commands, delivery


def _read(
    message: pb2.CommandEnvelope,
    trace: Trace,
    path: str,
    faults: FieldFaults,
    turned_away: TurnedAway,
) -> ReadCommand | None:
    """A command of a batch; None for an envelope without one, which is a fault."""
    request = request_in(message)
    if request is None:
        faults.add(path, "required: a command")
        return None
    own = FieldFaults(prefix=f"{path}.")
    read = read_command(request, read_trace(message, trace, own), own)
    if request.HasField("options"):
        own.add("options", "must be absent: the options of the batch are for all of it")
    if own.violations:
        faults.extend(own.violations)
        turned_away(
            read.type, read.command_id, read.trace, InvalidFields(own.violations)
        )
    return read
