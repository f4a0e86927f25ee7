"""Snapshots over SQL."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from eventcore.messages import StreamId
from eventcore.snapshots import Snapshot
from eventcore.sql import write_schema
from eventcore.sql.event_store import by_category
from eventcore.sql.upsert import upsert


class SqlSnapshotReader:
    """Reads snapshots within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, streams: Sequence[StreamId]) -> dict[StreamId, Snapshot]:
        table = write_schema.snapshots
        loaded: dict[StreamId, Snapshot] = {}
        for category, keys in by_category(streams):
            query = select(table).where(
                table.c.category == category, table.c.stream_id.in_(keys)
            )
            for row in self._connection.execute(query):
                stream = StreamId(row.category, row.stream_id)
                loaded[stream] = Snapshot(
                    stream=stream,
                    stream_version=row.stream_version,
                    position=row.position,
                    schema_version=row.schema_version,
                    payload=row.payload,
                )
        return loaded


class SqlSnapshots(SqlSnapshotReader):
    """Writes snapshots within the transaction of a connection."""

    def save(self, snapshots: Sequence[Snapshot]) -> None:
        if not snapshots:
            return
        self._connection.execute(
            upsert(write_schema.snapshots, self._connection.dialect.name),
            [
                {
                    "category": snapshot.stream.category,
                    "stream_id": snapshot.stream.key,
                    "stream_version": snapshot.stream_version,
                    "position": snapshot.position,
                    "schema_version": snapshot.schema_version,
                    "payload": snapshot.payload,
                }
                for snapshot in snapshots
            ],
        )
