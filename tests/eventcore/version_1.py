"""A write store of version 1, in the words of the release that made it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from tests.eventcore.files import STORE_ID

TABLES = """
CREATE TABLE log_head (
    id INTEGER NOT NULL,
    store_id BLOB NOT NULL,
    schema_version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    record_time INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE events (
    position INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    category TEXT NOT NULL,
    stream_id BLOB NOT NULL,
    stream_version INTEGER NOT NULL,
    type TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    record_time INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (position)
);
CREATE UNIQUE INDEX events_by_stream ON events (category, stream_id, stream_version);
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: UPDATE refused'); END;
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only: DELETE refused'); END;
CREATE TRIGGER events_refuse_overwrite BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
      OR EXISTS (
        SELECT 1 FROM events WHERE category = NEW.category
        AND stream_id = NEW.stream_id AND stream_version = NEW.stream_version)
    BEGIN SELECT RAISE(ABORT, 'events are append-only: the key exists'); END;
CREATE TRIGGER events_refuse_hole BEFORE INSERT ON events
    WHEN NEW.stream_version <> 1 AND NOT EXISTS (
        SELECT 1 FROM events WHERE category = NEW.category
        AND stream_id = NEW.stream_id AND stream_version = NEW.stream_version - 1)
    BEGIN SELECT RAISE(ABORT, 'the stream has no version before this one'); END;
CREATE TABLE outbox (
    position INTEGER NOT NULL,
    PRIMARY KEY (position)
);
CREATE TABLE commands (
    accept_sequence INTEGER NOT NULL,
    command_id TEXT NOT NULL,
    type TEXT NOT NULL,
    category TEXT NOT NULL,
    stream_id BLOB NOT NULL,
    fingerprint_version INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    stage TEXT NOT NULL,
    lane TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    accept_time INTEGER NOT NULL,
    complete_time INTEGER NOT NULL,
    stream_version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    refusal TEXT,
    PRIMARY KEY (accept_sequence)
);
CREATE UNIQUE INDEX commands_by_id ON commands (command_id);
"""

STREAM_KEY = "01900000-0000-7000-8000-00000000beef"
EVENTS = 3
REFUSAL = (
    '{"kind":"precondition","reason":"RULE_VIOLATED","message":"größer als erlaubt",'
    '"rule":"OVERPAYMENT","facts":{"due":"5"}}'
)


def make_version_1(path: Path) -> None:
    """Makes such a store, with a stream of three events, a command for each, and a refused one."""
    stream = UUID(STREAM_KEY).bytes
    trace = ("flow", "command", "me", "00-1")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(TABLES)
        connection.execute(
            "INSERT INTO log_head VALUES (1, ?, 1, ?, 30)",
            (UUID(STORE_ID).bytes, EVENTS),
        )
        for n in range(1, EVENTS + 1):
            connection.execute(
                "INSERT INTO events VALUES (?, ?, 'thing', ?, ?, 'ThingHappened', 1, ?, "
                "?, ?, ?, ?, ?)",
                (n, UUID(int=n).bytes, stream, n, 10 * n, *trace, f'{{"n":{n}}}'),
            )
            connection.execute("INSERT INTO outbox VALUES (?)", (n,))
            _add_command(connection, f"command-{n}", "committed", (n, n, 1, None))
        _add_command(connection, "refused", "refused", (0, 0, 0, REFUSAL))
        connection.commit()


def _add_command(
    connection: sqlite3.Connection,
    command_id: str,
    stage: str,
    outcome: tuple[int, int, int, str | None],
) -> None:
    connection.execute(
        "INSERT INTO commands (command_id, type, category, stream_id, fingerprint_version, "
        "fingerprint, stage, lane, correlation_id, causation_id, actor, traceparent, "
        "accept_time, complete_time, stream_version, position, event_count, refusal) "
        "VALUES (?, 'DoThing', 'thing', ?, 1, ?, ?, 'bulk', 'flow', '', 'me', '', 5, 6, "
        "?, ?, ?, ?)",
        (command_id, UUID(STREAM_KEY).bytes, b"0123456789abcdef", stage, *outcome),
    )
