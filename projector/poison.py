"""What a generation has stopped at, as operators get to know it."""

import structlog

from eventcore.errors import (
    CorruptLog,
    EventCoreError,
    MalformedEvent,
    UnknownEvent,
)
from eventcore.generations import Failure, Generation
from eventcore.messages import EventEnvelope, Instant

MESSAGE_CHARACTERS_MAX = 1000
"""Of what is kept of an error."""

_log = structlog.get_logger()


def failure_of(
    error: Exception, *, position: int, event: EventEnvelope | None, now: Instant
) -> Failure:
    """What is kept of a failure.

    Args:
        error: Why it has failed.
        position: Where it has stopped.
        event: The event there; None where the log has none.
        now: The time.
    """
    text = str(error) or type(error).__name__
    if not isinstance(error, EventCoreError):
        text = f"{type(error).__name__}: {text}"
    return Failure(
        position=position,
        event_id="" if event is None else event.event_id,
        event_type="" if event is None else event.type,
        message=f"{text[:MESSAGE_CHARACTERS_MAX]}; {remedy(error)}",
        time=now,
    )


def log_failure(generation: Generation, failure: Failure, error: Exception) -> None:
    """Says in the log that a generation has stopped, and why."""
    _log.error(
        "projection_failed",
        projection=generation.projection,
        generation=generation.number,
        role=generation.role.value,
        position=generation.checkpoint.position,
        event_position=failure.position,
        event_id=failure.event_id,
        event_type=failure.event_type,
        error=failure.message,
        # An error of the house says all there is to say.
        exc_info=None if isinstance(error, EventCoreError) else error,
    )


def remedy(error: Exception) -> str:
    """What to do, before the projection is resumed."""
    match error:
        case CorruptLog():
            return "put back a write store that holds the whole log, then resume"
        case UnknownEvent():
            return "run the release that wrote the event or a newer one, then resume"
        case MalformedEvent():
            return "put back a write store that has the event as it was written, then resume"
        case _:
            return "run a release that can apply the event, then resume"
