"""Column types that both databases know."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

BIGINT = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite makes a column the row's own key only if it says INTEGER."""


class UuidText(TypeDecorator[str]):
    """A UUID: canonical text in Python, 16 bytes in SQLite, `uuid` in PostgreSQL.

    Text keys would make every index more than twice as large, and an index that fits in memory is
    what an append costs.
    """

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(LargeBinary(16))
        return dialect.type_descriptor(Uuid(as_uuid=False))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return bytes.fromhex(value.replace("-", ""))

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "sqlite":
            return None if value is None else str(value)
        return str(UUID(bytes=value))
