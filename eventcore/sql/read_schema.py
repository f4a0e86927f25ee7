"""The house's own tables of the read store: which release made it, and how far it is."""

from typing import Any

from sqlalchemy import Column, Integer, MetaData, Row, Select, Table, Text, select

from eventcore.checkpoints import Checkpoint
from eventcore.sql.types import BIGINT

metadata = MetaData()

read_meta = Table(
    "read_meta",
    metadata,
    # There is one row.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("position", BIGINT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("position_time", BIGINT, nullable=False),
    Column("head_position", BIGINT, nullable=False),
    Column("complete_time", BIGINT, nullable=False),
)


def select_checkpoint(projection: str) -> Select[Any]:
    """The query for the checkpoint of a projection."""
    return select(checkpoints).where(checkpoints.c.projection == projection)


def as_checkpoint(row: Row[Any]) -> Checkpoint:
    """The checkpoint in a row of `checkpoints`."""
    return Checkpoint(
        projection=row.projection,
        store_id=row.store_id,
        position=row.position,
        event_id=row.event_id,
        position_time=row.position_time,
        head_position=row.head_position,
        complete_time=row.complete_time,
    )
