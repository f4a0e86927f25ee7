"""The rows of read models, as projections change them: set-wise, by primary key."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Table

Row: TypeAlias = dict[str, Any]
"""A row of a read model: the value of each column by its name."""

Key: TypeAlias = tuple[Any, ...]
"""The values of a row's primary key, in the order of its columns."""


Values: TypeAlias = tuple[Any, ...]
"""A row of a read model: the values of all columns, in their order."""


class RowReader(Protocol):
    """Reads rows of one generation of a read model. A `Table` is the declaration."""

    def fetch(self, table: Table, keys: Iterable[Key]) -> dict[Key, Row]:
        """The rows of those keys that there are."""


class ReadModelTables(RowReader, Protocol):
    """Reads and changes the rows of one generation of a read model."""

    def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Inserts the rows, replacing those with the same primary key. Each is complete."""

    def delete(self, table: Table, keys: Iterable[Key]) -> None:
        """Removes the rows of those keys that there are."""
