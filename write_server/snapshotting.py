"""When an aggregate gets a new snapshot, and how it is written: after its callers are answered."""

from collections.abc import Mapping
from typing import Any

import structlog

from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.messages import StreamId
from eventcore.snapshots import Snapshot
from eventcore.write_store import WriteStore
from write_server.aggregates import AggregateCache, Loaded

SNAPSHOTS_PER_COMMIT_MAX = 20
"""The next batch waits for them, so they are few."""

DUE_MAX = 256
"""Aggregates that wait for their snapshot. One for which there is no room comes up again with its
next event."""

log = structlog.get_logger()


class Snapshotting:
    """Keeps note of the aggregates whose streams have grown, and writes their snapshots.

    It lives on the thread that owns the write store.
    """

    def __init__(
        self, *, store: WriteStore, cache: AggregateCache, every_events: int
    ) -> None:
        """Args:
        store: Where they go.
        cache: Is told that an aggregate has a new one.
        every_events: How many events a stream grows between two; 0 is never.
        """
        self._store = store
        self._cache = cache
        self._every_events = every_events
        self._due: dict[StreamId, Loaded] = {}

    def note(self, aggregates: Mapping[StreamId, Loaded]) -> None:
        """Notes what a batch has committed."""
        if not self._every_events:
            return
        for stream, loaded in aggregates.items():
            grown = loaded.version - loaded.snapshot_version
            if grown < self._every_events or loaded.aggregate.snapshots is None:
                continue
            if stream in self._due or len(self._due) < DUE_MAX:
                self._due[stream] = loaded

    @property
    def is_due(self) -> bool:
        """Whether there are snapshots to write."""
        return bool(self._due)

    def write(self) -> None:
        """Writes some of those that are due, in one transaction.

        A store that has no room for them, or an aggregate that cannot be encoded, loses nothing:
        they come up again.

        Raises:
            StoreBroken: the store failed in a way after which only a restart can go on.
        """
        streams = list(self._due)[:SNAPSHOTS_PER_COMMIT_MAX]
        chosen = {stream: self._due.pop(stream) for stream in streams}
        snapshots = [
            snapshot
            for stream, loaded in chosen.items()
            if (snapshot := _snapshot(stream, loaded)) is not None
        ]
        if not snapshots:
            return
        try:
            with self._store.begin() as unit:
                unit.snapshots.save(snapshots)
                unit.commit()
        except StoreBroken:
            raise
        except StoreUnavailable as error:
            log.warning("snapshots_not_written", cause=str(error.__cause__))
            return
        except Exception:
            # The database does not take one of them. What is only a cache stops nothing.
            log.exception("snapshots_not_written")
            return
        for snapshot in snapshots:
            self._cache.has_snapshot(snapshot.stream, snapshot.stream_version)


def _snapshot(stream: StreamId, loaded: Loaded) -> Snapshot | None:
    codec: Any = loaded.aggregate.snapshots
    try:
        payload = codec.encode(loaded.state, loaded.view)
    except Exception:
        log.warning("snapshot_not_encoded", stream=stream.key, exc_info=True)
        return None
    return Snapshot(
        stream=stream,
        stream_version=loaded.version,
        position=loaded.position,
        schema_version=codec.schema_version,
        payload=payload,
    )
