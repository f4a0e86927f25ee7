"""The outbox over SQL."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from eventcore.log import check_contiguous
from eventcore.outbox import OutboxBatch
from eventcore.sql.event_store import SqlEventReader, as_envelope
from eventcore.sql.write_schema import events, outbox


class SqlOutboxReader:
    """Follows the outbox within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._events = SqlEventReader(connection)

    def read(self, *, after_position: int, limit: int) -> OutboxBatch:
        head_position = self._events.head().position
        rows = self._connection.execute(
            select(events)
            .join(outbox, outbox.c.position == events.c.position)
            .where(outbox.c.position > after_position)
            .order_by(outbox.c.position)
            .limit(limit)
        )
        envelopes = [as_envelope(row) for row in rows]
        check_contiguous(
            [envelope.position for envelope in envelopes],
            after_position=after_position,
            head_position=head_position,
            limit=limit,
        )
        return OutboxBatch(envelopes, head_position)


class SqlOutbox(SqlOutboxReader):
    """Adds to the outbox within the transaction of a connection."""

    def add(self, positions: Sequence[int]) -> None:
        if positions:
            self._connection.execute(
                insert(outbox), [{"position": position} for position in positions]
            )
