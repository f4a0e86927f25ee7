"""The outbox over SQL."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from eventcore.log import check_contiguous, is_pruned
from eventcore.messages import EventEnvelope
from eventcore.outbox import OutboxBatch
from eventcore.sql.event_store import as_envelope, read_contiguous
from eventcore.sql.write_schema import events, log_head, outbox

_LOWEST = select(func.min(outbox.c.position))
_ENDS = select(
    log_head.c.position.label("head_position"),
    _LOWEST.scalar_subquery().label("lowest_position"),
)


class SqlOutboxReader:
    """Follows the outbox within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, *, after_position: int, limit: int) -> OutboxBatch:
        ends = self._connection.execute(_ENDS).one()
        read = (
            read_contiguous
            if is_pruned(ends.lowest_position, after_position=after_position)
            else _read_joined
        )
        envelopes = read(
            self._connection,
            after_position=after_position,
            up_to_position=ends.head_position,
            limit=limit,
        )
        return OutboxBatch(envelopes, ends.head_position)

    def lowest_position(self) -> int | None:
        position: int | None = self._connection.execute(_LOWEST).scalar_one()
        return position


class SqlOutbox(SqlOutboxReader):
    """Adds to the outbox and prunes it within the transaction of a connection."""

    def add(self, positions: Sequence[int]) -> None:
        if positions:
            self._connection.execute(
                insert(outbox), [{"position": position} for position in positions]
            )

    def prune(self, *, up_to_position: int, limit: int) -> int:
        lowest = (
            select(outbox.c.position)
            .where(outbox.c.position <= up_to_position)
            .order_by(outbox.c.position)
            .limit(limit)
        )
        return self._connection.execute(
            delete(outbox).where(outbox.c.position.in_(lowest))
        ).rowcount


def _read_joined(
    connection: Connection, *, after_position: int, up_to_position: int, limit: int
) -> list[EventEnvelope]:
    """As `read_contiguous`, by the rows of the outbox."""
    rows = connection.execute(
        select(outbox.c.position.label("followed"), events)
        # An outer join: a row of the outbox without its event is a hole in the log, not in the
        # outbox. And it leaves a database no choice but to begin with the few rows of the outbox.
        .outerjoin_from(outbox, events, outbox.c.position == events.c.position)
        .where(outbox.c.position > after_position)
        .order_by(outbox.c.position)
        .limit(limit)
    ).all()
    found = {
        "outbox": [row.followed for row in rows],
        "log": [row.position for row in rows if row.position is not None],
    }
    for place, positions in found.items():
        check_contiguous(
            positions,
            after_position=after_position,
            head_position=up_to_position,
            limit=limit,
            place=place,
        )
    return [as_envelope(row) for row in rows]
