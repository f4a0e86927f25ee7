"""What is stored of a command, as the receipt that clients get."""

from contexts.orders.wire.values import timestamp
from eventcore.messages import CommandRecord, CommandStage, Lane, RefusalRecord
from eventcore.rpc.errors import status_of
from orderes.v1 import command_pb2, errors_pb2

_STAGES = {
    CommandStage.COMMITTED: command_pb2.COMMAND_STAGE_COMMITTED,
    CommandStage.REFUSED: command_pb2.COMMAND_STAGE_REFUSED,
}

_LANES = {
    Lane.CRITICAL: command_pb2.LANE_CRITICAL,
    Lane.NORMAL: command_pb2.LANE_NORMAL,
    Lane.BULK: command_pb2.LANE_BULK,
}


def command_to_proto(
    record: CommandRecord, *, store_id: str, deduplicated: bool
) -> command_pb2.Command:
    """The receipt of a stored command.

    Args:
        record: What is stored of it.
        store_id: Of the store that holds it.
        deduplicated: Whether an earlier call with the same command_id brought it there.
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
        error=None if record.refusal is None else error_to_proto(record.refusal),
        lane=_LANES[record.lane],
        deduplicated=deduplicated,
        store_id=store_id,
        accept_time=timestamp(record.accept_time),
        complete_time=timestamp(record.complete_time),
    )


def error_to_proto(refusal: RefusalRecord) -> errors_pb2.CommandError:
    """Why a command was refused.

    Raises:
        ValueError: the reason is not of the contract.
    """
    return errors_pb2.CommandError(
        code=status_of(refusal),
        reason=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{refusal.reason}"),
        message=refusal.message,
        rule=refusal.rule,
        metadata=refusal.facts,
    )
