"""An administration that answers what a test says, and the WriteAdminService in front of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from contexts.orders.write.admin_service import WriteAdminService
from eventcore.command_journal import FailedCommand, FailedPlace
from eventcore.errors import CommandNotFound, EventCoreError
from eventcore.messages import CommandRecord, CommandStage
from eventcore.operators import Operator
from eventcore.write_administration import WriteStatus
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub
from tests.support.envelopes import a_failed
from tests.support.rpc import running

if TYPE_CHECKING:  # It is in the types of the stubs alone.
    from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceAsyncStub

STORE_ID = "store-1"
NOTHING = WriteStatus(
    store_id=STORE_ID, head_position=0, lanes=(), pause=None, backlog=0, failed=0
)


def failed_commands(count: int, *, padding: int = 0) -> list[FailedCommand]:
    """Failed commands, the newest first; some of one time. Each is longer by the padding."""
    commands = []
    for number in range(count, 0, -1):
        stored = a_failed(f"c{number}", fail_time=1_000_000 + number // 3)
        request = replace(
            stored.request, payload=f'{{"of":"c{number}"}}' + " " * padding
        )
        place = FailedPlace(
            fail_time=stored.record.complete_time, accept_sequence=number
        )
        commands.append(
            FailedCommand(stored=replace(stored, request=request), place=place)
        )
    return commands


@dataclass(slots=True)
class ScriptedAdministration:
    """Holds failed commands, and notes what it is told."""

    write_status: WriteStatus = NOTHING
    commands: Sequence[FailedCommand] = ()
    error: EventCoreError | None = None
    """What every call fails with, if it is set."""
    told: list[tuple[str, ...]] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    """Who has told it."""
    limits: list[int] = field(default_factory=list)
    store_id: str = STORE_ID

    async def status(self) -> WriteStatus:
        if self.error is not None:
            raise self.error
        return self.write_status

    async def pause(self, reason: str, *, by: Operator) -> None:
        self.operators.append(by)
        self._note("pause", reason)

    async def resume(self, reason: str, *, by: Operator) -> None:
        self.operators.append(by)
        self._note("resume", reason)

    async def failed(
        self, *, after: FailedPlace | None, limit: int
    ) -> list[FailedCommand]:
        self.limits.append(limit)
        return [
            command
            for command in self.commands
            if after is None or _key(command.place) < _key(after)
        ][:limit]

    async def retry(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        self.operators.append(by)
        self._note("retry", reason, *command_ids)
        return [
            replace(
                self._record(command_id),
                stage=CommandStage.ACCEPTED,
                attempts=0,
                complete_time=0,
                error=None,
            )
            for command_id in command_ids
        ]

    async def discard(
        self, command_ids: Sequence[str], *, reason: str, by: Operator
    ) -> list[CommandRecord]:
        self.operators.append(by)
        self._note("discard", reason, *command_ids)
        return [
            replace(self._record(command_id), stage=CommandStage.DISCARDED)
            for command_id in command_ids
        ]

    def _note(self, *told: str) -> None:
        self.told.append(told)
        if self.error is not None:
            raise self.error

    def _record(self, command_id: str) -> CommandRecord:
        for command in self.commands:
            if command.stored.record.command_id == command_id:
                return command.stored.record
        raise CommandNotFound(command_id)


def _key(place: FailedPlace) -> tuple[int, int]:
    return (place.fail_time, place.accept_sequence)


@asynccontextmanager
async def administered(
    administration: ScriptedAdministration,
) -> "AsyncIterator[WriteAdminServiceAsyncStub]":
    """A client of the WriteAdminService over a scripted administration."""
    async with running(WriteAdminService(administration).hosted()) as host:
        made: Any = WriteAdminServiceStub(host.channel)
        yield made
