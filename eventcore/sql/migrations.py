"""How the tables of a write store that an earlier release made become those of this one.

There is no migration framework: so far there is one step, of a handful of statements, and the file
is migrated by the one process that owns it, in the transaction that also writes the new version. A
framework would add a table of its own and an order of commits that is not ours.
"""

from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A step from one version of the tables to the next."""

    version: int
    """Of the tables after it."""
    statements: tuple[str, ...]
    """As they were when the step was written: what the tables become later does not change it."""


MIGRATIONS = (
    # Stores of version 1 are files of SQLite, so this step is in its words. It rewrites no row:
    # what a long journal costs is reading it once for each index.
    Migration(
        version=2,
        statements=(
            "ALTER TABLE commands RENAME COLUMN refusal TO error",
            "ALTER TABLE commands ADD COLUMN attempts INTEGER DEFAULT 1 NOT NULL",
            "ALTER TABLE commands ADD COLUMN expected_version INTEGER",
            "ALTER TABLE commands ADD COLUMN request TEXT",
            """
            CREATE INDEX commands_accepted ON commands (accept_sequence)
            WHERE stage = 'accepted'
            """,
            """
            CREATE INDEX commands_failed ON commands (complete_time, accept_sequence)
            WHERE stage = 'failed'
            """,
            """
            CREATE TABLE snapshots (
                category TEXT NOT NULL,
                stream_id BLOB NOT NULL,
                stream_version INTEGER NOT NULL,
                position INTEGER NOT NULL,
                schema_version INTEGER NOT NULL,
                payload BLOB NOT NULL,
                PRIMARY KEY (category, stream_id)
            )
            """,
            """
            CREATE TABLE execution_pause (
                id INTEGER NOT NULL,
                reason TEXT NOT NULL,
                time INTEGER NOT NULL,
                PRIMARY KEY (id)
            )
            """,
        ),
    ),
)
"""Every step there has been, in order."""


def migrate(connection: Connection, *, version: int) -> None:
    """Takes the steps behind a version, within the transaction of the connection.

    The version that the store says it has is for the caller to change, in the same transaction.
    """
    for migration in MIGRATIONS:
        if migration.version > version:
            for statement in migration.statements:
                connection.exec_driver_sql(statement)
