"""Two copies of a table, row by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Table

from eventcore.model_tables import Key, Row, Values
from eventcore.projection import Projection
from eventcore.read_store import ModelReader
from eventcore.row_digest import RowDigest, TableDigest

_UUID_BYTES = 16
VALUE_CHARACTERS_MAX = 60
"""Of a value that is shown; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What a read model has otherwise than it should."""

    rows: int
    """That it has, in all tables."""
    findings: Sequence[str]


def compare_tables(
    projection: Projection, *, actual: ModelReader, expected: ModelReader
) -> Differences:
    """Compares all tables of a read model with what they should be."""
    rows = 0
    findings: list[str] = []
    for table in projection.tables:
        digest = _digest(actual.scan(table))
        rows += digest.rows
        if digest != _digest(expected.scan(table)):
            findings.extend(_differences(table, actual, expected))
    return Differences(rows, findings)


def _digest(chunks: Iterator[Sequence[Values]]) -> TableDigest:
    digest = RowDigest()
    for rows in chunks:
        digest.add(rows)
    return digest.result()


def _differences(
    table: Table, actual: ModelReader, expected: ModelReader
) -> Iterator[str]:
    for rows in _keyed(table, expected):
        found = actual.fetch(table, rows)
        for key, row in rows.items():
            if key not in found:
                yield f"{table.name} lacks the row {_shown_key(table, key)}"
            elif found[key] != row:
                difference = _difference(found[key], row)
                yield f"{table.name} row {_shown_key(table, key)}: {difference}"
    for rows in _keyed(table, actual):
        known = expected.fetch(table, rows)
        for key in rows.keys() - known.keys():
            yield f"{table.name} has a row too many, {_shown_key(table, key)}"


def _keyed(table: Table, reader: ModelReader) -> Iterator[Mapping[Key, Row]]:
    columns = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    for rows in reader.scan(table):
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        yield {tuple(row[name] for name in keys): row for row in named}


def _shown_key(table: Table, key: Key) -> str:
    names = [column.name for column in table.primary_key.columns]
    return ", ".join(
        f"{name}={_shown(value)}" for name, value in zip(names, key, strict=True)
    )


def _difference(actual: Row, expected: Row) -> str:
    return ", ".join(
        f"{name} is {_shown(actual[name])} and should be {_shown(expected[name])}"
        for name in expected
        if actual[name] != expected[name]
    )


def _shown(value: object) -> str:
    if isinstance(value, bytes) and len(value) == _UUID_BYTES:
        return str(UUID(bytes=value))
    text = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
    if isinstance(value, bytes):
        return f"{text} ({value.hex()[:VALUE_CHARACTERS_MAX]}…)"
    return (
        text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"
    )
