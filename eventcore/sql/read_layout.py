"""How the house's own tables of a read store are made, and what becomes of those that an earlier
release made.
"""

from sqlalchemy import (
    Connection,
    MetaData,
    Table,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import OperationalError

from eventcore.errors import StartFailed, StoreUnavailable
from eventcore.generations import Generation, Role
from eventcore.sql.read_schema import (
    LAYOUT_VERSION,
    as_row,
    generation_tables,
    generations,
    metadata,
    read_meta,
)

EARLIER_RELEASE = "(an earlier release)"
"""In place of a projection: whose tables those were that are given up with an older layout."""

_OLDER_HOUSE_TABLES = ("checkpoints",)
"""The house's own tables of older layouts, which hold a few rows."""


def make_layout(connection: Connection) -> int | None:
    """Makes the house's own tables, within the transaction of the connection.

    Read models of an older layout are given up, and made anew from the log. Their tables may be
    large: they are emptied bit by bit, as those of any generation that is dropped.

    Returns:
        The older layout whose read models were given up; None if there was none.

    Raises:
        StartFailed: the layout is that of a newer release.
    """
    inspector = inspect(connection)
    found = inspector.get_table_names()
    if read_meta.name not in found:
        metadata.create_all(connection)
        new = insert(read_meta).values(id=1, schema_version=LAYOUT_VERSION)
        connection.execute(new)
        return None
    version = _checked_layout(connection)
    if version == LAYOUT_VERSION:
        return None
    metadata.create_all(connection)
    left = [name for name in found if name not in metadata.tables]
    for name in left:
        if name in _OLDER_HOUSE_TABLES:
            Table(name, MetaData()).drop(connection)
    _give_up(connection, [name for name in left if name not in _OLDER_HOUSE_TABLES])
    connection.execute(update(read_meta).values(schema_version=LAYOUT_VERSION))
    return version


def check_layout(connection: Connection) -> None:
    """Checks that the store is of this layout.

    Raises:
        StartFailed: it is of a newer one.
        StoreUnavailable: its owner has not made it yet, or not replaced an older one.
    """
    try:
        version = _checked_layout(connection)
    except OperationalError as error:
        raise StoreUnavailable("the read models are not made yet: retry") from error
    if version < LAYOUT_VERSION:
        raise StoreUnavailable(
            "the read models are of an older release, and not made anew yet: retry"
        )


def _checked_layout(connection: Connection) -> int:
    version: int = connection.execute(select(read_meta.c.schema_version)).scalar_one()
    if version > LAYOUT_VERSION:
        raise StartFailed(
            f"the read store has a layout of version {version}, this release knows version "
            f"{LAYOUT_VERSION}: run the release that made it, or stop the projector and "
            "the read servers, remove read.db, read.db-wal and read.db-shm, and start "
            "them again; the projector makes it anew from the log"
        )
    return version


def _give_up(connection: Connection, names: list[str]) -> None:
    generation = Generation(
        projection=EARLIER_RELEASE,
        number=0,
        version=0,
        role=Role.DROPPING,
        made_time=0,
        made_reason="made by an earlier release",
    )
    connection.execute(insert(generations).values(as_row(generation)))
    for name in names:
        connection.execute(
            insert(generation_tables).values(
                name=name, projection=generation.projection, generation=0
            )
        )
