"""What operators ask of the projections, with every check of form, and what they get to see."""

from contexts.orders.wire.administration import REASON_LENGTH_MAX
from contexts.orders.wire.values import timestamp
from eventcore.checkpoints import Checkpoint
from eventcore.fields import FieldFaults
from eventcore.freshness import lag_microseconds
from eventcore.generations import Generation, Skip
from eventcore.projection_administration import ProjectionState, ProjectionStatus
from orderes.v1 import projection_admin_service_pb2 as pb2

NAME_LENGTH_MAX = 100
SKIPS_SHOWN_MAX = 100
"""Skipped events that one answer names, of a projection."""

_STATES = {
    state: pb2.ProjectionState.Value(f"PROJECTION_STATE_{state.name}")
    for state in ProjectionState
}

Change = (
    pb2.PauseProjectionRequest
    | pb2.ResumeProjectionRequest
    | pb2.RebuildProjectionRequest
    | pb2.CancelRebuildRequest
    | pb2.RollBackProjectionRequest
)


def read_change(request: Change, faults: FieldFaults) -> tuple[str, str]:
    """Which projection an operator changes, and why."""
    return (
        faults.text("name", request.name, max_length=NAME_LENGTH_MAX),
        faults.text("reason", request.reason, max_length=REASON_LENGTH_MAX),
    )


def projection_to_proto(status: ProjectionStatus) -> pb2.Projection:
    """A projection as operators see it."""
    ownership, served = status.ownership, status.served
    shown = served or status.made
    message = pb2.Projection(
        name=status.name,
        state=_STATES[status.state],
        owner=ownership.owner,
        skipped_events=map(_skip_to_proto, status.skips[:SKIPS_SHOWN_MAX]),
        skipped_count=len(status.skips),
    )
    if ownership.heartbeat_time:
        message.heartbeat_time.CopyFrom(timestamp(ownership.heartbeat_time))
    if ownership.pause is not None:
        message.pause_reason = ownership.pause.reason
        message.pause_time.CopyFrom(timestamp(ownership.pause.time))
    if shown is not None:
        message.head_position = shown.checkpoint.head_position
    if served is not None:
        _set_served(message, served, status)
    if status.made is not None:
        message.rebuild.CopyFrom(_rebuild_to_proto(status.made, served))
    if served is None and status.made is not None:
        _set_failure(message, status.made)
    if status.previous is not None:
        message.previous.CopyFrom(_previous_to_proto(status.previous, status))
    return message


def _set_served(
    message: pb2.Projection, served: Generation, status: ProjectionStatus
) -> None:
    message.position = served.checkpoint.position
    message.version = served.version
    message.generation = served.number
    message.events_per_second = served.progress.events_per_second
    message.comparison = served.comparison
    message.lag.FromMicroseconds(lag_microseconds(served.checkpoint, now=status.now))
    _set_failure(message, served)


def _set_failure(
    message: pb2.Projection | pb2.ProjectionRebuild, generation: Generation
) -> None:
    if generation.failure is not None:
        message.error = generation.failure.message
        if generation.failure.event_id:
            # Of a position at which the log has no event there is nothing to leave out.
            message.error_position = generation.failure.position


def _rebuild_to_proto(
    made: Generation, served: Generation | None
) -> pb2.ProjectionRebuild:
    progress = made.progress
    target = _target_position(made.checkpoint, served)
    position = made.checkpoint.position
    message = pb2.ProjectionRebuild(
        generation=made.number,
        version=made.version,
        position=position,
        target_position=target,
        progress=min(position / target, 1.0) if target else 0.0,
        events_per_second=progress.events_per_second,
        falling_behind=progress.falling_behind,
        comparing=progress.comparing,
        start_time=timestamp(made.made_time),
        reason=made.made_reason,
    )
    if progress.seconds_left is not None:
        message.time_left.FromMicroseconds(round(progress.seconds_left * 1_000_000))
    _set_failure(message, made)
    return message


def _target_position(checkpoint: Checkpoint, served: Generation | None) -> int:
    """Where a rebuild has to come to: to what serves, if that goes on, or to the end of the log."""
    if served is None or served.failure is not None:
        return checkpoint.head_position
    return served.checkpoint.position


def _previous_to_proto(
    kept: Generation, status: ProjectionStatus
) -> pb2.PreviousGeneration:
    return pb2.PreviousGeneration(
        generation=kept.number,
        version=kept.version,
        position=kept.checkpoint.position,
        drop_time=timestamp(status.previous_drop_time),
        error="" if kept.failure is None else kept.failure.message,
    )


def _skip_to_proto(skip: Skip) -> pb2.SkippedEvent:
    return pb2.SkippedEvent(
        position=skip.position,
        event_id=skip.event_id,
        type=skip.event_type,
        reason=skip.reason,
        skip_time=timestamp(skip.time),
    )
