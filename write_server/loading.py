"""Aggregates from the store: a snapshot where there is one, and the events behind it."""

from collections.abc import Mapping
from typing import Any

import structlog

from eventcore.aggregate import Aggregate
from eventcore.event_store import EventReader
from eventcore.messages import EventEnvelope, StreamId
from eventcore.snapshots import Snapshot, SnapshotReader
from eventcore.write_store import WriteSnapshot, WriteUnit
from write_server.aggregates import Loaded, fold, fold_onto
from write_server.jobs import HandlerBroke

log = structlog.get_logger()


def load_all(
    unit: WriteUnit, aggregates: Mapping[StreamId, Aggregate[Any, Any, Any, Any]]
) -> dict[StreamId, Loaded | HandlerBroke]:
    """The aggregates of some streams, each or why it cannot be read."""
    if not aggregates:
        return {}
    snapshots = _snapshots_of(unit.snapshots, aggregates)
    long = {
        stream: loaded
        for stream, snapshot in snapshots.items()
        if (loaded := _from_snapshot(aggregates[stream], snapshot)) is not None
    }
    short = [stream for stream in aggregates if stream not in long]
    histories = unit.events.load(short) if short else {}
    for stream, base in long.items():
        histories[stream] = unit.events.load_tail(stream, after_version=base.version)
    return {
        stream: _folded(aggregate, long.get(stream), histories[stream])
        for stream, aggregate in aggregates.items()
    }


def load_as_of(
    snapshot: WriteSnapshot,
    stream: StreamId,
    aggregate: Aggregate[Any, Any, Any, Any],
    version: int | None = None,
) -> Loaded:
    """The aggregate of one stream, as of a version; None is the newest.

    Raises:
        UnknownEvent: an event of it is of a type or version that this code does not know.
    """
    base = None
    kept = _snapshots_of(snapshot.snapshots, {stream: aggregate}).get(stream)
    if kept is not None and (version is None or kept.stream_version <= version):
        base = _from_snapshot(aggregate, kept)
    tail = _tail(snapshot.events, stream, base, version)
    return fold(aggregate, tail) if base is None else fold_onto(base, tail)


def _tail(
    events: EventReader, stream: StreamId, base: Loaded | None, version: int | None
) -> list[EventEnvelope]:
    after = 0 if base is None else base.version
    return events.load_tail(stream, after_version=after, up_to_version=version)


def _snapshots_of(
    snapshots: SnapshotReader,
    aggregates: Mapping[StreamId, Aggregate[Any, Any, Any, Any]],
) -> dict[StreamId, Snapshot]:
    """The snapshots that this code can read: of another version they are as good as none."""
    kept = [s for s, aggregate in aggregates.items() if aggregate.snapshots is not None]
    if not kept:
        return {}
    return {
        stream: snapshot
        for stream, snapshot in snapshots.load(kept).items()
        if (codec := aggregates[stream].snapshots) is not None
        and snapshot.schema_version == codec.schema_version
    }


def _from_snapshot(
    aggregate: Aggregate[Any, Any, Any, Any], snapshot: Snapshot
) -> Loaded | None:
    assert aggregate.snapshots is not None
    try:
        state, view = aggregate.snapshots.decode(snapshot.payload)
    except Exception:
        log.warning(
            "snapshot_unreadable",
            stream=snapshot.stream.key,
            version=snapshot.stream_version,
            exc_info=True,
        )
        return None
    return Loaded(
        aggregate=aggregate,
        state=state,
        version=snapshot.stream_version,
        view=view,
        position=snapshot.position,
        snapshot_version=snapshot.stream_version,
    )


def _folded(
    aggregate: Aggregate[Any, Any, Any, Any],
    base: Loaded | None,
    tail: list[EventEnvelope],
) -> Loaded | HandlerBroke:
    try:
        return fold(aggregate, tail) if base is None else fold_onto(base, tail)
    except Exception as error:  # noqa: BLE001 - a stream that cannot be read spoils only its own.
        broke = HandlerBroke("the events of a stream cannot be read")
        broke.__cause__ = error
        return broke
