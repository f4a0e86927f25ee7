"""The house's own tables of the read store: which release made it, who owns the read models, and
how far each generation of them is.
"""

from typing import Any

import msgspec
from sqlalchemy import Column, Integer, MetaData, Row, Select, Table, Text, select

from eventcore.checkpoints import Checkpoint
from eventcore.generations import (
    Failure,
    Generation,
    Ownership,
    Progress,
    Role,
    Skip,
)
from eventcore.operators import Pause
from eventcore.sql.types import BIGINT

LAYOUT_VERSION = 3
"""Of these tables, not of read models: those have versions of their own. A store of an older layout
begins anew from the log, of a newer one it is refused."""

metadata = MetaData()

read_meta = Table(
    "read_meta",
    metadata,
    # There is one row.
    Column("id", Integer, primary_key=True, autoincrement=False),
    # That of the layout. It had this name when read models had no versions of their own.
    Column("schema_version", Integer, nullable=False),
)

projections = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BIGINT, nullable=False),
    Column("lease_expire_time", BIGINT, nullable=False),
    Column("heartbeat_time", BIGINT, nullable=False),
    # Numbers of generations are given once, also after the newest one was dropped.
    Column("newest_generation", Integer, nullable=False),
    Column("pause_reason", Text),
    Column("pause_time", BIGINT),
)

generations = Table(
    "generations",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("position", BIGINT, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("position_time", BIGINT, nullable=False),
    Column("head_position", BIGINT, nullable=False),
    Column("complete_time", BIGINT, nullable=False),
    # JSON: nobody asks for generations by what stands in these.
    Column("failure", Text),
    Column("progress", Text, nullable=False),
    Column("made_time", BIGINT, nullable=False),
    Column("made_reason", Text, nullable=False),
    Column("replaced_time", BIGINT, nullable=False),
    Column("comparison", Text, nullable=False),
)

generation_tables = Table(
    "generation_tables",
    metadata,
    # What a generation is made of, for who drops it and may not know its declarations any more.
    Column("name", Text, primary_key=True),
    Column("projection", Text, nullable=False),
    Column("generation", Integer, nullable=False),
)

skipped_events = Table(
    "skipped_events",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("position", BIGINT, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time", BIGINT, nullable=False),
)

_encoder = msgspec.json.Encoder()
_failure_decoder = msgspec.json.Decoder(Failure)
_progress_decoder = msgspec.json.Decoder(Progress)


def select_generations(projection: str) -> Select[Any]:
    """The query for the generations of a projection, oldest first."""
    return (
        select(generations)
        .where(generations.c.projection == projection)
        .order_by(generations.c.number)
    )


def as_ownership(row: Row[Any]) -> Ownership:
    """The ownership in a row of `projections`."""
    return Ownership(
        projection=row.name,
        owner=row.owner,
        epoch=row.epoch,
        lease_expire_time=row.lease_expire_time,
        heartbeat_time=row.heartbeat_time,
        pause=None
        if row.pause_reason is None
        else Pause(reason=row.pause_reason, time=row.pause_time),
    )


def as_generation(row: Row[Any]) -> Generation:
    """The generation in a row of `generations`."""
    return Generation(
        projection=row.projection,
        number=row.number,
        version=row.version,
        role=Role(row.role),
        checkpoint=Checkpoint(
            store_id=row.store_id,
            position=row.position,
            event_id=row.event_id,
            position_time=row.position_time,
            head_position=row.head_position,
            complete_time=row.complete_time,
        ),
        failure=None if row.failure is None else _failure_decoder.decode(row.failure),
        progress=_progress_decoder.decode(row.progress),
        made_time=row.made_time,
        made_reason=row.made_reason,
        replaced_time=row.replaced_time,
        comparison=row.comparison,
    )


def as_row(generation: Generation) -> dict[str, Any]:
    """The row of `generations` for a generation."""
    failure = generation.failure
    return {
        "projection": generation.projection,
        "number": generation.number,
        "version": generation.version,
        "role": generation.role.value,
        **checkpoint_values(generation.checkpoint),
        "failure": None if failure is None else _encoder.encode(failure).decode(),
        **progress_values(generation.progress),
        "made_time": generation.made_time,
        "made_reason": generation.made_reason,
        "replaced_time": generation.replaced_time,
        "comparison": generation.comparison,
    }


def checkpoint_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """The columns of a checkpoint."""
    return {
        "store_id": checkpoint.store_id,
        "position": checkpoint.position,
        "event_id": checkpoint.event_id,
        "position_time": checkpoint.position_time,
        "head_position": checkpoint.head_position,
        "complete_time": checkpoint.complete_time,
    }


def progress_values(progress: Progress) -> dict[str, Any]:
    """The column of a generation's progress."""
    return {"progress": _encoder.encode(progress).decode()}


def failure_values(failure: Failure | None) -> dict[str, Any]:
    """The column of a generation's failure."""
    return {"failure": None if failure is None else _encoder.encode(failure).decode()}


def as_skip(row: Row[Any]) -> Skip:
    """The skip in a row of `skipped_events`."""
    return Skip(
        position=row.position,
        event_id=row.event_id,
        event_type=row.event_type,
        reason=row.reason,
        time=row.time,
    )
