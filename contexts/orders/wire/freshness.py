"""How fresh an answer has to be, as a query says it, and how fresh it is."""

from contexts.orders.wire.values import timestamp
from eventcore.checkpoints import Checkpoint
from eventcore.fields import FieldFaults
from eventcore.freshness import (
    MAX_STALENESS_SECONDS_MIN,
    MAX_WAIT_SECONDS_DEFAULT,
    MAX_WAIT_SECONDS_MAX,
    Requirement,
    lag_microseconds,
)
from eventcore.messages import Instant
from orderes.v1 import consistency_pb2

STORE_ID_CHARACTERS_MAX = 64


def requirement(
    message: consistency_pb2.Consistency, faults: FieldFaults
) -> Requirement:
    """What a query demands of the read model that answers it."""
    min_position = message.min_position
    if message.HasField("min_position") and min_position < 1:
        faults.add(
            "consistency.min_position",
            "must be at least 1; 0 is the position of a command that is not committed: "
            "ask GetCommand",
        )
    return Requirement(
        min_position=min_position,
        max_staleness_seconds=faults.duration_between(
            "consistency.max_staleness",
            seconds=message.max_staleness.seconds,
            nanos=message.max_staleness.nanos,
            shortest_seconds=MAX_STALENESS_SECONDS_MIN,
        )
        if message.HasField("max_staleness")
        else None,
        max_wait_seconds=faults.duration(
            "consistency.max_wait",
            seconds=message.max_wait.seconds,
            nanos=message.max_wait.nanos,
            longest_seconds=MAX_WAIT_SECONDS_MAX,
        )
        if message.HasField("max_wait")
        else MAX_WAIT_SECONDS_DEFAULT,
        allow_stale=message.allow_stale,
        store_id=store_id("consistency.store_id", message.store_id, faults),
    )


def store_id(field: str, value: str, faults: FieldFaults) -> str:
    """The store that a position is of; empty if it is not said."""
    return faults.text(field, value, max_length=STORE_ID_CHARACTERS_MAX, required=False)


def read_info(
    checkpoint: Checkpoint, *, now: Instant, stale: bool = False
) -> consistency_pb2.ReadInfo:
    """How fresh an answer is that was read together with the checkpoint."""
    info = consistency_pb2.ReadInfo(
        position=checkpoint.position, store_id=checkpoint.store_id, stale=stale
    )
    info.lag.FromMicroseconds(lag_microseconds(checkpoint, now=now))
    if checkpoint.position > 0:
        info.position_time.CopyFrom(timestamp(checkpoint.position_time))
    return info
