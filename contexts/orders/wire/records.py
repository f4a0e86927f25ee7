"""What is stored of a command, or why nothing is, as clients get it."""

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from contexts.orders.wire.values import timestamp
from eventcore.command_gateway import Outcome, Receipt
from eventcore.errors import EventCoreError, InvalidFields, Refusal, StoredError
from eventcore.messages import (
    CommandRecord,
    CommandStage,
    ErrorRecord,
    Instant,
    Kind,
    Lane,
)
from eventcore.rpc.errors import (
    CAUSE_FACT,
    FAULT_MESSAGE,
    VIOLATIONS_MAX,
    client_facts,
    is_fault,
    retry_delay_ms,
    status_of,
)
from orderes.v1 import command_pb2, command_service_pb2, errors_pb2

_STAGES = {
    stage: command_pb2.CommandStage.Value(f"COMMAND_STAGE_{stage.name}")
    for stage in CommandStage
}

_LANES = {lane: command_pb2.Lane.Value(f"LANE_{lane.name}") for lane in Lane}

INTERNAL = ErrorRecord(kind=Kind.FAULT, reason="INTERNAL", message=FAULT_MESSAGE)
"""What a client is told of a fault."""


def lane_to_proto(lane: Lane) -> command_pb2.Lane.ValueType:
    """The number of a lane."""
    return _LANES[lane]


def command_to_proto(
    record: CommandRecord,
    *,
    store_id: str,
    deduplicated: bool = False,
    for_operators: bool = False,
) -> command_pb2.Command:
    """The receipt of a command.

    Args:
        record: What is stored of it, or would be.
        store_id: Of the store that holds it.
        deduplicated: Whether an earlier call with the same command_id brought it there.
        for_operators: Whether it says what broke a failed command.
    """
    return command_pb2.Command(
        command_id=record.command_id,
        correlation_id=record.trace.correlation_id,
        causation_id=record.trace.causation_id,
        type=record.type,
        order_id=record.stream.key,
        stage=_STAGES[record.stage],
        order_version=record.stream_version,
        position=record.position,
        event_count=record.event_count,
        error=None
        if record.error is None
        else error_to_proto(record.error, for_operators=for_operators),
        attempts=record.attempts,
        lane=_LANES[record.lane],
        deduplicated=deduplicated,
        store_id=store_id,
        accept_time=_time(record.accept_time),
        complete_time=_time(record.complete_time),
    )


def error_to_proto(
    error: ErrorRecord, *, for_operators: bool = False
) -> errors_pb2.CommandError:
    """Why a command was refused, failed or was discarded.

    Raises:
        ValueError: the reason is not of the contract.
    """
    return errors_pb2.CommandError(
        code=status_of(error),
        reason=_reason(error.reason),
        message=error.message,
        rule=error.rule,
        metadata={
            name: text
            for name, text in error.facts.items()
            if for_operators or name != CAUSE_FACT
        },
    )


def result_to_proto(
    outcome: Outcome, *, store_id: str, subject: Mapping[str, str]
) -> command_service_pb2.CommandResult:
    """How one command of a batch or a stream went.

    Args:
        outcome: What became of it.
        store_id: Of the store that positions belong to.
        subject: What the command is about, by name; an error says it.
    """
    if isinstance(outcome, Receipt):
        return command_service_pb2.CommandResult(
            command=command_to_proto(
                outcome.record, store_id=store_id, deduplicated=outcome.deduplicated
            )
        )
    return command_service_pb2.CommandResult(error=_outcome_error(outcome, subject))


def _outcome_error(
    error: EventCoreError, subject: Mapping[str, str]
) -> errors_pb2.CommandError:
    """The same as the error of a call would say: its code, its facts, and when to try again."""
    if is_fault(error):
        message = error_to_proto(INTERNAL)
        message.metadata.update(subject)
        return message
    message = errors_pb2.CommandError(
        code=status_of(error),
        reason=_reason(error.reason),
        message=error.message,
        rule=error.rule if isinstance(error, Refusal | StoredError) else "",
        metadata=_wrong_fields(error) | client_facts(error, subject),
    )
    delay_ms = retry_delay_ms(error)
    if delay_ms is not None:
        message.retry_delay.FromMilliseconds(delay_ms)
    return message


def _wrong_fields(error: EventCoreError) -> dict[str, str]:
    """What a BadRequest would name: as many fields as it would, each with what is wrong."""
    if not isinstance(error, InvalidFields):
        return {}
    shown = error.violations[:VIOLATIONS_MAX]
    return {violation.field: violation.description for violation in shown}


def _reason(reason: str) -> errors_pb2.ErrorReason.ValueType:
    return errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")


def _time(instant: Instant) -> Timestamp | None:
    """The time; None for one that has not come."""
    return timestamp(instant) if instant else None
