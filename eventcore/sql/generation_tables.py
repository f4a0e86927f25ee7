"""The tables of one generation of a read model: those that its projection declares, under names of
their own.
"""

from functools import lru_cache

from sqlalchemy import MetaData, Table, quoted_name

TABLES_KNOWN_MAX = 1000
"""Of tables that are kept in memory; there are a few for each generation."""


@lru_cache(maxsize=TABLES_KNOWN_MAX)
def table_of(table: Table, generation: int) -> Table:
    """The generation's own table of one that is declared. Always the same one, so that statements
    about it are compiled once.
    """
    own = table.to_metadata(MetaData(), name=f"{table.name}_g{generation}")
    for index in own.indexes:
        index.name = quoted_name(f"{index.name}_g{generation}", quote=None)
    return own
