"""Two read models for read stores to hold, and how they come to be there."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

from eventcore.checkpoints import Checkpoint
from eventcore.generations import Generation, Lease, Role
from eventcore.messages import EventEnvelope, Instant
from eventcore.model_tables import ReadModelTables, Row, RowReader
from eventcore.projection import Projection
from eventcore.read_store import ReadStore

NOW: Instant = 1_000
EXPIRE: Instant = 2_000
"""When a lease that was taken now ends."""

_metadata = MetaData()

things = Table(
    "things",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("size", Integer),
    Column("content", LargeBinary),
    Index("things_by_size", "size"),
)

pairs = Table(
    "pairs",
    _metadata,
    Column("left", Text, primary_key=True),
    Column("right", Integer, primary_key=True),
)

notes = Table("notes", _metadata, Column("text", Text, primary_key=True))


def _apply(events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
    """Of no event: tests write rows themselves."""


THINGS = Projection(name="things", version=1, tables=(things, pairs), apply=_apply)
OTHERS = Projection(name="others", version=1, tables=(notes,), apply=_apply)


def a_thing(name: str, size: int | None = 1) -> Row:
    return {"name": name, "size": size, "content": name.encode()}


def a_pair(left: str, right: int) -> Row:
    return {"left": left, "right": right}


def a_checkpoint(position: int) -> Checkpoint:
    return Checkpoint(
        store_id="01900000-0000-7000-8000-00000000abcd",
        position=position,
        event_id=f"01900000-0000-7000-8000-{position:012}",
        position_time=2**53 + position,
        head_position=position + 2,
        complete_time=5,
    )


def taken(
    store: ReadStore, projection: Projection = THINGS, *, owner: str = "this"
) -> Lease:
    """The lease of a projection, from whomever had it."""
    with store.begin() as unit:
        lease = unit.register.acquire(
            projection.name, owner=owner, now=NOW, expire_time=EXPIRE, seize=True
        )
        unit.commit()
    assert lease is not None, "it is taken by force"
    return lease


def made(
    store: ReadStore,
    projection: Projection = THINGS,
    *,
    role: Role = Role.SERVING,
    version: int = 1,
) -> int:
    """The number of a new generation."""
    with store.begin() as unit:
        generation = unit.register.add_generation(
            replace(projection, version=version), role=role, now=NOW, reason="asked"
        )
        unit.commit()
    return generation.number


def write(
    store: ReadStore,
    lease: Lease,
    generation: int,
    *names: str,
    size: int = 1,
    position: int = 0,
) -> None:
    """Writes things, as a batch of events does that ends at a position."""
    with store.begin() as unit:
        held = unit.generation(lease, generation)
        held.tables.write(things, [a_thing(name, size) for name in names])
        if position:
            (present,) = (
                each
                for each in unit.register.generations(lease.projection)
                if each.number == generation
            )
            held.advance(
                a_checkpoint(position), expected_position=present.checkpoint.position
            )
        unit.commit()


def switch(store: ReadStore, to: int, *, now: Instant = NOW) -> None:
    with store.begin() as unit:
        unit.register.switch("things", to, now=now)
        unit.commit()


def generations(store: ReadStore, projection: str = "things") -> list[Generation]:
    with store.begin() as unit:
        return unit.register.generations(projection)


def generation(store: ReadStore, number: int) -> Generation:
    return {each.number: each for each in generations(store)}[number]


def roles(store: ReadStore) -> dict[int, Role]:
    return {each.number: each.role for each in generations(store)}


def sizes(reader: RowReader, *names: str) -> dict[str, int]:
    """The sizes of those things that there are."""
    found = reader.fetch(things, [(name,) for name in names])
    return {row["name"]: row["size"] for row in found.values()}
