"""What the writer is given to execute, and how the outcome of each command is kept."""

from dataclasses import dataclass, replace

from eventcore.aggregate import CommandHandlers
from eventcore.command_journal import CommandRequest, StoredCommand
from eventcore.errors import EventCoreError
from eventcore.messages import (
    CommandEnvelope,
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Instant,
    Kind,
    StreamId,
)

COMMAND_FAILED = "COMMAND_FAILED"


class HandlerBroke(EventCoreError):
    """The handler of a command has a fault, or what it loads or stores does."""


@dataclass(frozen=True, slots=True)
class Task:
    """A command to execute: with its content, or stored and known by its id."""

    command_id: str
    envelope: CommandEnvelope | None


@dataclass(frozen=True, slots=True)
class Job:
    """A command that is being executed."""

    envelope: CommandEnvelope
    accepted: CommandRecord | None = None
    """Its record if it was stored before; its attempts count the one under way."""
    fault: HandlerBroke | None = None
    """It cannot even be read."""

    @property
    def command_id(self) -> str:
        return self.envelope.command_id

    @property
    def stream(self) -> StreamId:
        return self.envelope.stream

    @property
    def attempts(self) -> int:
        """With the one under way."""
        return 1 if self.accepted is None else self.accepted.attempts

    def record(
        self,
        stage: CommandStage,
        now: Instant,
        *,
        stream_version: int = 0,
        position: int = 0,
        event_count: int = 0,
        error: ErrorRecord | None = None,
    ) -> CommandRecord:
        """The command's record at a stage."""
        complete_time = 0 if stage is CommandStage.ACCEPTED else now
        if self.accepted is not None:
            return replace(
                self.accepted,
                stage=stage,
                complete_time=complete_time,
                stream_version=stream_version,
                position=position,
                event_count=event_count,
                error=error,
            )
        envelope = self.envelope
        return CommandRecord(
            command_id=envelope.command_id,
            type=envelope.type,
            stream=envelope.stream,
            fingerprint=envelope.fingerprint,
            stage=stage,
            lane=envelope.lane,
            trace=envelope.trace,
            accept_time=now,
            complete_time=complete_time,
            stream_version=stream_version,
            position=position,
            event_count=event_count,
            error=error,
        )

    def failed(self, cause: BaseException | None, now: Instant) -> CommandRecord:
        """Its record as a dead letter."""
        error = failure(self.attempts, cause)
        return self.record(CommandStage.FAILED, now, error=error)


def with_request(
    handlers: CommandHandlers, envelope: CommandEnvelope, record: CommandRecord
) -> StoredCommand:
    """A command as it is stored, to be executed later."""
    request = CommandRequest(
        payload=handlers.payload_of(envelope.command),
        expected_version=envelope.expected_version,
    )
    return StoredCommand(record=record, request=request)


def failure(attempts: int, cause: BaseException | None) -> ErrorRecord:
    """Why a command failed. Only the kind of the fault is kept: its words may hold anything."""
    name = "the process ended each time" if cause is None else type(cause).__name__
    return ErrorRecord(
        kind=Kind.FAULT,
        reason=COMMAND_FAILED,
        message="the command failed by a fault of the server and is kept for an operator: "
        "repeat it later with the same command_id, or ask an operator",
        facts={"attempts": str(attempts), "cause": name},
    )
