"""The tables of the write store. They change together.

Rows lie in the order of the log, with one narrow unique index beside them, so that ids which
clients choose at random cost as little as can be: the rows themselves are only ever appended.
"""

from sqlalchemy import (
    DDL,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    literal_column,
    text,
)

from eventcore.sql.types import BIGINT, UuidText

SCHEMA_VERSION = 2
"""Of these tables. A store of an older version is migrated to it, of a newer one refused."""

metadata = MetaData()

log_head = Table(
    "log_head",
    metadata,
    # There is one row. Whoever appends takes positions from it, inside the transaction, so that
    # positions have no holes and their order is that of the commits.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("store_id", UuidText, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("position", BIGINT, nullable=False),
    Column("record_time", BIGINT, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", BIGINT, primary_key=True, autoincrement=False),
    Column("event_id", UuidText, nullable=False),
    Column("category", Text, nullable=False),
    Column("stream_id", UuidText, nullable=False),
    Column("stream_version", BIGINT, nullable=False),
    Column("type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("record_time", BIGINT, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("causation_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Index("events_by_stream", "category", "stream_id", "stream_version", unique=True),
)

outbox = Table(
    "outbox",
    metadata,
    # Positions only: what was appended stands once, in `events`.
    Column("position", BIGINT, primary_key=True, autoincrement=False),
)

commands = Table(
    "commands",
    metadata,
    # Counted like positions, so that on every database it is known before a row is inserted, and a
    # command that is queued again can be given one behind all others.
    Column("accept_sequence", BIGINT, primary_key=True, autoincrement=False),
    Column("command_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("stream_id", UuidText, nullable=False),
    Column("fingerprint_version", Integer, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("stage", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("causation_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("accept_time", BIGINT, nullable=False),
    Column("complete_time", BIGINT, nullable=False),
    Column("stream_version", BIGINT, nullable=False),
    Column("position", BIGINT, nullable=False),
    Column("event_count", Integer, nullable=False),
    Column("error", Text),
    # The default is that of the rows which are older than the column.
    Column("attempts", Integer, nullable=False, server_default=text("1")),
    Column("expected_version", BIGINT),
    # The last one: what is long lies on pages of its own, and columns behind it would be read
    # through all of them.
    Column("request", Text),
    Index("commands_by_id", "command_id", unique=True),
)

# Values in the text of the statement: with parameters a database cannot know, when it plans a
# query, that a partial index holds all rows of it.
is_accepted = commands.c.stage == literal_column("'accepted'")
"""Whether a command is in the queue."""
is_failed = commands.c.stage == literal_column("'failed'")
"""Whether a command is a dead letter."""

# Almost every command is terminal. These hold the few that are not, so that neither the queue nor
# the dead letters cost what the journal has grown to.
Index(
    "commands_accepted",
    commands.c.accept_sequence,
    sqlite_where=is_accepted,
    postgresql_where=is_accepted,
)
Index(
    "commands_failed",
    commands.c.complete_time,
    commands.c.accept_sequence,
    sqlite_where=is_failed,
    postgresql_where=is_failed,
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("category", Text, primary_key=True),
    Column("stream_id", UuidText, primary_key=True),
    Column("stream_version", BIGINT, nullable=False),
    Column("position", BIGINT, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

execution_pause = Table(
    "execution_pause",
    metadata,
    # There is one row while execution is paused, and none else.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("time", BIGINT, nullable=False),
)

# The log is append-only, and the database itself sees to it. INSERT OR REPLACE deletes without
# asking a DELETE trigger, so an insert over an existing key is refused before it gets that far;
# and a version without the one before it would be a hole in its stream.
_APPEND_ONLY = (
    """
    CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: UPDATE refused'); END
    """,
    """
    CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: DELETE refused'); END
    """,
    """
    CREATE TRIGGER events_refuse_overwrite BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
      OR EXISTS (
        SELECT 1 FROM events WHERE category = NEW.category
        AND stream_id = NEW.stream_id AND stream_version = NEW.stream_version)
    BEGIN SELECT RAISE(ABORT, 'events are append-only: the key exists'); END
    """,
    """
    CREATE TRIGGER events_refuse_hole BEFORE INSERT ON events
    WHEN NEW.stream_version <> 1 AND NOT EXISTS (
        SELECT 1 FROM events WHERE category = NEW.category
        AND stream_id = NEW.stream_id AND stream_version = NEW.stream_version - 1)
    BEGIN SELECT RAISE(ABORT, 'the stream has no version before this one'); END
    """,
)
for _trigger in _APPEND_ONLY:
    event.listen(
        events,
        "after_create",
        DDL(_trigger).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )
