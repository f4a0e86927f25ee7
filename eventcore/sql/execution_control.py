"""The switch of execution over SQL."""

from sqlalchemy import Connection, delete, select

from eventcore.operators import Pause
from eventcore.sql.upsert import upsert
from eventcore.sql.write_schema import execution_pause

_ROW_ID = 1


class SqlControlReader:
    """Reads the switch within the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pause(self) -> Pause | None:
        row = self._connection.execute(select(execution_pause)).one_or_none()
        return None if row is None else Pause(reason=row.reason, time=row.time)


class SqlExecutionControl(SqlControlReader):
    """Turns the switch within the transaction of a connection."""

    def set_pause(self, pause: Pause | None) -> None:
        if pause is None:
            self._connection.execute(delete(execution_pause))
            return
        self._connection.execute(
            upsert(execution_pause, self._connection.dialect.name),
            {"id": _ROW_ID, "reason": pause.reason, "time": pause.time},
        )
