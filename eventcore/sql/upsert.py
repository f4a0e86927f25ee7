"""The one statement that every database spells in its own way: INSERT that replaces a row."""

from collections.abc import Callable

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite

_INSERTS: dict[str, Callable[[Table], sqlite.Insert]] = {"sqlite": sqlite.insert}
"""The INSERT of each database that can replace a row."""


def upsert(table: Table, dialect_name: str) -> sqlite.Insert:
    """Inserts a row, replacing the one with the same primary key."""
    keys = list(table.primary_key.columns)
    statement = _INSERTS[dialect_name](table)
    others = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if not column.primary_key
    }
    if not others:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
