"""What became of a command, as people read it."""

from collections.abc import Iterator

from rich.markup import escape

from cli.output import (
    console,
    enum_text,
    payment_text,
    print_facts,
    state_text,
    time_text,
)
from cli.program import own_command
from cli.refused import shown_facts
from orderes.v1.command_pb2 import Command, CommandStage, Lane
from orderes.v1.errors_pb2 import CommandError, ErrorReason
from orderes.v1.order_pb2 import Order

_STAGES: dict[int, str] = {number: name for name, number in CommandStage.items()}
_LANES: dict[int, str] = {number: name for name, number in Lane.items()}
_REASONS: dict[int, str] = {number: name for name, number in ErrorReason.items()}

_MEANINGS = {
    CommandStage.COMMAND_STAGE_VALIDATED: "it would be done; nothing is stored",
    CommandStage.COMMAND_STAGE_ACCEPTED: "stored; it will be executed",
    CommandStage.COMMAND_STAGE_FAILED: "kept for an operator, who retries or discards it",
    CommandStage.COMMAND_STAGE_DISCARDED: "an operator gave it up for good",
}
"""What a stage means where its name does not say it."""

ATTEMPTS = "attempts"
"""The fact of a failed command that its record has in a field of its own."""


def print_receipt(
    command: Command, order: Order, *, write_flag: str, read_flag: str
) -> None:
    """Shows what became of a command that was sent, and what to type next.

    Args:
        command: Its record.
        order: The order after it; empty if there is none yet.
        write_flag: Names the write server in a line to type; empty for the usual one.
        read_flag: The same for the read server.
    """
    out = console()
    out.print(f"[bold]{escape(command.type)}[/bold]")
    print_facts(out, _facts(command, order))
    program = own_command()
    if command.position:
        out.print(
            f"\nRead it back: {program} order get {command.order_id}"
            f"{read_flag} --min-position {command.position}"
        )
    elif command.stage == CommandStage.COMMAND_STAGE_ACCEPTED:
        out.print(
            "\nSee what becomes of it: "
            f"{program} order command {command.command_id} --wait{write_flag}"
        )


def print_record(command: Command) -> None:
    """Shows the record of a command, with all that it has gone through."""
    out = console()
    out.print(f"[bold]{escape(command.type)}[/bold]")
    print_facts(out, [*_facts(command, Order()), *_course(command)])


def stage_text(command: Command) -> str:
    """How far a command has come, in a word."""
    return enum_text(_STAGES, command.stage, "COMMAND_STAGE_")


def lane_text(lane: int) -> str:
    """A lane in small letters."""
    return enum_text(_LANES, lane, "LANE_").lower()


def error_facts(error: CommandError) -> Iterator[tuple[str, str]]:
    """The error that is kept with a command, in names and values."""
    reason = enum_text(_REASONS, error.reason, "ERROR_REASON_")
    yield "error", " · ".join(part for part in (reason, error.rule) if part)
    yield "message", error.message
    for name, value in sorted(shown_facts(error.metadata).items()):
        if name != ATTEMPTS:
            yield name, value


def _facts(command: Command, order: Order) -> Iterator[tuple[str, str]]:
    committed = command.stage == CommandStage.COMMAND_STAGE_COMMITTED
    counted = committed or command.stage == CommandStage.COMMAND_STAGE_VALIDATED
    yield "order", command.order_id
    if order.order_id:
        yield "state", state_text(order)
        yield "payment", payment_text(order)
    if committed:
        yield "version", str(command.order_version)
        yield "position", str(command.position)
    meaning = _MEANINGS.get(command.stage)
    stage = stage_text(command)
    yield "stage", f"{stage}: {meaning}" if meaning else stage
    if counted:
        yield "events", str(command.event_count)
    if command.HasField("error"):
        yield from error_facts(command.error)
    yield "deduplicated", "yes" if command.deduplicated else "no"
    yield "command_id", command.command_id
    yield "correlation_id", command.correlation_id


def _course(command: Command) -> Iterator[tuple[str, str]]:
    yield "causation_id", command.causation_id
    if command.lane:
        yield "lane", lane_text(command.lane)
    yield "attempts", str(command.attempts)
    if command.HasField("accept_time"):
        yield "accepted", f"{time_text(command.accept_time)} UTC"
    if command.HasField("complete_time"):
        yield "completed", f"{time_text(command.complete_time)} UTC"
