"""What holds for the log in every store: how events get their places, without a hole."""

from collections.abc import Sequence

from eventcore.errors import CorruptLog
from eventcore.event_store import StreamAppend
from eventcore.messages import EventEnvelope, Instant


def place(
    appends: Sequence[StreamAppend], *, after: int, record_time: Instant
) -> list[EventEnvelope]:
    """Gives each event its position and its version."""
    envelopes: list[EventEnvelope] = []
    position = after
    for append in appends:
        version = append.expected_version
        for event in append.events:
            position += 1
            version += 1
            envelopes.append(
                EventEnvelope(
                    position=position,
                    event_id=event.event_id,
                    stream=append.stream,
                    stream_version=version,
                    type=event.type,
                    schema_version=event.schema_version,
                    record_time=record_time,
                    payload=event.payload,
                    trace=event.trace,
                )
            )
    return envelopes


def is_pruned(lowest_position: int | None, *, after_position: int) -> bool:
    """Whether what follows a position is to be read from the log, not from the outbox.

    The outbox loses its lowest positions, and no others. So one that begins further up, or is
    empty, was pruned; one that begins here or before has to have all that follows.
    """
    return lowest_position is None or lowest_position > after_position + 1


def check_contiguous(
    positions: Sequence[int],
    *,
    after_position: int,
    head_position: int,
    limit: int,
    place: str = "log",
) -> None:
    """Raises `CorruptLog` unless the positions follow `after_position` without a hole.

    Args:
        positions: What was found above `after_position`, in order, up to `limit` of them.
        after_position: What is known already.
        head_position: The end of the log.
        limit: How many were asked for.
        place: What they were found in, for the message.
    """
    if after_position > head_position:
        raise CorruptLog(
            f"position {after_position} is beyond the end of the log, {head_position}: "
            "this is another store, or an older copy of it"
        )
    expected = min(limit, head_position - after_position)
    for offset, position in enumerate(positions, start=1):
        if position > head_position:
            raise CorruptLog(
                f"position {position} is beyond the end of the log, {head_position}, "
                f"and stands in the {place}"
            )
        if position != after_position + offset:
            raise _missing(after_position + offset, place)
    if len(positions) != expected:
        raise _missing(after_position + len(positions) + 1, place)


def _missing(position: int, place: str) -> CorruptLog:
    return CorruptLog(
        f"position {position} is missing in the {place}", position=position
    )
