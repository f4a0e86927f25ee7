"""The register of read models over SQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    delete,
    insert,
    inspect,
    select,
    tuple_,
    update,
)

from eventcore.errors import LeaseLost
from eventcore.generations import (
    Generation,
    Lease,
    Ownership,
    Role,
    Skip,
    switched,
)
from eventcore.messages import Instant
from eventcore.operators import Pause
from eventcore.projection import Projection
from eventcore.sql.generation_tables import table_of
from eventcore.sql.read_schema import (
    as_generation,
    as_ownership,
    as_row,
    as_skip,
    generation_tables,
    generations,
    projections,
    select_generations,
    skipped_events,
)


class SqlRegisterReader:
    """Reads the register within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ownership(self, projection: str) -> Ownership | None:
        query = select(projections).where(projections.c.name == projection)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else as_ownership(row)

    def generations(self, projection: str) -> list[Generation]:
        rows = self._connection.execute(select_generations(projection))
        return [as_generation(row) for row in rows]

    def skips(self, projection: str, generation: int) -> list[Skip]:
        query = (
            select(skipped_events)
            .where(
                skipped_events.c.projection == projection,
                skipped_events.c.generation == generation,
            )
            .order_by(skipped_events.c.position)
        )
        return [as_skip(row) for row in self._connection.execute(query)]


class SqlRegister(SqlRegisterReader):
    """Changes the register within the transaction of a connection."""

    def acquire(
        self,
        projection: str,
        *,
        owner: str,
        now: Instant,
        expire_time: Instant,
        seize: bool = False,
    ) -> Lease | None:
        before = self.ownership(projection)
        row = {
            "owner": owner,
            "lease_expire_time": expire_time,
            "heartbeat_time": now,
        }
        if before is None:
            self._connection.execute(
                insert(projections).values(
                    name=projection, epoch=1, newest_generation=0, **row
                )
            )
            return Lease(projection=projection, owner=owner, epoch=1)
        if before.owner and before.lease_expire_time > now and not seize:
            return None
        lease = Lease(projection=projection, owner=owner, epoch=before.epoch + 1)
        taken = self._connection.execute(
            update(projections)
            .where(
                projections.c.name == projection, projections.c.epoch == before.epoch
            )
            .values(epoch=lease.epoch, **row)
        )
        return lease if taken.rowcount == 1 else None

    def renew(self, lease: Lease, *, now: Instant, expire_time: Instant) -> None:
        self._change_held(lease, heartbeat_time=now, lease_expire_time=expire_time)

    def release(self, lease: Lease) -> None:
        try:
            self._change_held(lease, owner="", lease_expire_time=0)
        except LeaseLost:
            return

    def set_pause(self, projection: str, pause: Pause | None) -> None:
        self._connection.execute(
            update(projections)
            .where(projections.c.name == projection)
            .values(
                pause_reason=None if pause is None else pause.reason,
                pause_time=None if pause is None else pause.time,
            )
        )

    def add_generation(
        self,
        projection: Projection,
        *,
        role: Role,
        now: Instant,
        reason: str,
    ) -> Generation:
        name = projection.name
        generation = Generation(
            projection=name,
            number=self._next_number(name),
            version=projection.version,
            role=role,
            made_time=now,
            made_reason=reason,
        )
        self._connection.execute(insert(generations).values(as_row(generation)))
        for declared in projection.tables:
            own = table_of(declared, generation.number)
            own.create(self._connection)
            self._connection.execute(
                insert(generation_tables).values(
                    name=own.name, projection=name, generation=generation.number
                )
            )
        return generation

    def rebuild_with(self, projection: str, generation: int) -> None:
        self._change(
            projection,
            generation,
            {"role": Role.BUILDING.value, "replaced_time": 0},
        )

    def switch(
        self, projection: str, to: int, *, now: Instant, comparison: str = ""
    ) -> None:
        before = self.generations(projection)
        for generation in switched(before, to, now=now, comparison=comparison):
            self._change(projection, generation.number, as_row(generation))

    def drop(self, projection: str, generation: int) -> None:
        self._change(projection, generation, {"role": Role.DROPPING.value})

    def go_on(self, projection: str, generation: int) -> None:
        self._change(projection, generation, {"failure": None})

    def skip(self, projection: str, generation: int, skip: Skip) -> None:
        self._connection.execute(
            insert(skipped_events).values(
                projection=projection,
                generation=generation,
                position=skip.position,
                event_id=skip.event_id,
                event_type=skip.event_type,
                reason=skip.reason,
                time=skip.time,
            )
        )

    def empty_dropped(self, *, rows_max: int) -> int:
        removed = 0
        for projection, generation in self.dropped():
            for name in self._tables_of(projection, generation):
                removed += self._remove_rows(name, rows_max - removed)
                if removed >= rows_max:
                    return removed
                Table(name, MetaData()).drop(self._connection)
                self._connection.execute(
                    delete(generation_tables).where(generation_tables.c.name == name)
                )
                removed += 1
            self._forget(projection, generation)
        return removed

    def dropped(self) -> Sequence[tuple[str, int]]:
        query = (
            select(generations.c.projection, generations.c.number)
            .where(generations.c.role == Role.DROPPING.value)
            .order_by(generations.c.projection, generations.c.number)
        )
        return [(row.projection, row.number) for row in self._connection.execute(query)]

    def _next_number(self, projection: str) -> int:
        self._connection.execute(
            update(projections)
            .where(projections.c.name == projection)
            .values(newest_generation=projections.c.newest_generation + 1)
        )
        query = select(projections.c.newest_generation).where(
            projections.c.name == projection
        )
        number: int = self._connection.execute(query).scalar_one()
        return number

    def _change(
        self, projection: str, generation: int, values: Mapping[str, Any]
    ) -> None:
        self._connection.execute(
            update(generations).where(*_is(projection, generation)).values(values)
        )

    def _change_held(self, lease: Lease, **values: Any) -> None:
        changed = self._connection.execute(
            update(projections)
            .where(
                projections.c.name == lease.projection,
                projections.c.epoch == lease.epoch,
                projections.c.owner == lease.owner,
            )
            .values(values)
        )
        if changed.rowcount != 1:
            raise LeaseLost(lease.projection, epoch=lease.epoch)

    def _tables_of(self, projection: str, generation: int) -> list[str]:
        query = (
            select(generation_tables.c.name)
            .where(
                generation_tables.c.projection == projection,
                generation_tables.c.generation == generation,
            )
            .order_by(generation_tables.c.name)
        )
        return list(self._connection.execute(query).scalars())

    def _remove_rows(self, name: str, rows_max: int) -> int:
        key = inspect(self._connection).get_pk_constraint(name)["constrained_columns"]
        own = Table(name, MetaData(), *(Column(part) for part in key))
        parts = [own.c[part] for part in key]
        some = select(*parts).limit(rows_max)
        chosen = tuple_(*parts).in_(some) if len(parts) > 1 else parts[0].in_(some)
        return self._connection.execute(delete(own).where(chosen)).rowcount

    def _forget(self, projection: str, generation: int) -> None:
        self._connection.execute(
            delete(skipped_events).where(
                skipped_events.c.projection == projection,
                skipped_events.c.generation == generation,
            )
        )
        self._connection.execute(
            delete(generations).where(*_is(projection, generation))
        )


def _is(projection: str, generation: int) -> tuple[ColumnElement[bool], ...]:
    return (
        generations.c.projection == projection,
        generations.c.number == generation,
    )
