"""How fresh an answer has to be, as a query says it."""

from orderes.client.options import Reading
from orderes.client.positions import Position
from orderes.client.values import duration_of
from orderes.v1.consistency_pb2 import Consistency


def consistency_of(reading: Reading, own: Position | None) -> Consistency:
    """The demand of the caller, or else the client's own, as a message.

    Raises:
        ValueError: it is two demands at once, or a duration is no number.
    """
    message = Consistency(allow_stale=reading.get("allow_stale", False))
    demanded, staleness = (
        reading.get("min_position"),
        reading.get("max_staleness_seconds"),
    )
    if demanded is not None and staleness is not None:
        raise ValueError("give min_position or max_staleness_seconds, not both")
    if (position := demanded or own) is not None:
        message.min_position = position.position
        message.store_id = position.store_id
    if staleness is not None:
        message.max_staleness.CopyFrom(duration_of("max_staleness_seconds", staleness))
    if (seconds := reading.get("max_wait_seconds")) is not None:
        message.max_wait.CopyFrom(duration_of("max_wait_seconds", seconds))
    return message
