"""The write server as a process of its own, and what is in its file."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.support.processes import StartedProcess, start_module

ANY_PORT = "127.0.0.1:0"


def start_write_server(
    data_dir: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> StartedProcess:
    """Starts a write server on free ports, unless the flags say otherwise."""
    addresses = {
        flag: ANY_PORT
        for flag in (
            "--write-address",
            "--write-admin-address",
            "--write-metrics-address",
        )
        if flag not in flags
    }
    given = [word for pair in addresses.items() for word in pair]
    words = ("--data-dir", str(data_dir), *given, *flags)
    return start_module("write_server", *words, environment=environment)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event, as the file holds it."""

    position: int
    stream_id: str
    stream_version: int
    type: str
    command_id: str
    record_time: int


@dataclass(frozen=True, slots=True)
class StoredCommand:
    """A command and its outcome, as the file holds them. They come in the order of acceptance."""

    stream_id: str
    stage: str
    stream_version: int
    position: int
    event_count: int
    keeps_request: bool
    """What it asks for, which is dropped with its outcome."""


@dataclass(frozen=True, slots=True)
class Stored:
    """All that a write store holds."""

    events: list[StoredEvent]
    commands: dict[str, StoredCommand]

    def assert_sound(self) -> None:
        """No hole, and every command has the events that its outcome says, in one piece."""
        assert [e.position for e in self.events] == list(range(1, len(self.events) + 1))
        times = [event.record_time for event in self.events]
        assert times == sorted(times)
        versions: Counter[str] = Counter()
        by_command: dict[str, list[StoredEvent]] = {}
        for event in self.events:
            versions[event.stream_id] += 1
            assert event.stream_version == versions[event.stream_id]
            by_command.setdefault(event.command_id, []).append(event)
        assert set(by_command) <= set(self.commands)
        for command_id, command in self.commands.items():
            self._assert_effect(command, by_command.get(command_id, []))

    def _assert_effect(self, command: StoredCommand, effect: list[StoredEvent]) -> None:
        assert command.keeps_request == (command.stage in {"accepted", "failed"})
        assert len(effect) == command.event_count
        if not effect:
            return
        assert command.stage == "committed"
        assert {event.stream_id for event in effect} == {command.stream_id}
        last = command.position
        assert [event.position for event in effect] == list(
            range(last - len(effect) + 1, last + 1)
        )
        assert effect[-1].stream_version == command.stream_version

    def assert_in_order(self, command_ids: Iterable[str]) -> None:
        """Those of an order were executed in the order in which they are given."""
        newest: dict[str, int] = {}
        for command_id in command_ids:
            command = self.commands[command_id]
            if command.stage == "committed":
                assert command.position >= newest.get(command.stream_id, 0), command
                newest[command.stream_id] = command.position

    def holds_any_of(self, command_ids: Iterable[str]) -> bool:
        """Whether a command is in any table."""
        ids = set(command_ids)
        return bool(
            ids & set(self.commands)
            or ids & {event.command_id for event in self.events}
        )


def accepted_in(data_dir: Path) -> int:
    """How many commands are stored and not executed."""
    with _reading(data_dir) as connection:
        query = "SELECT count(*) FROM commands WHERE stage = 'accepted'"
        return int(connection.execute(query).fetchone()[0])


def outbox_in(data_dir: Path) -> tuple[int, int]:
    """The length of the outbox and of the log, at the same moment."""
    with _reading(data_dir) as connection:
        query = "SELECT (SELECT count(*) FROM outbox), position FROM log_head"
        outbox, log = connection.execute(query).fetchone()
    return outbox, log


def stored_in(data_dir: Path, *, pruned: bool = False) -> Stored:
    """Reads the file of a write server, which may be running. Its outbox holds every event, or, if
    it was pruned, the newest without a hole.
    """
    with _reading(data_dir) as connection:
        connection.execute("BEGIN")
        events = [
            StoredEvent(position, str(UUID(bytes=stream)), *rest)
            for position, stream, *rest in connection.execute(
                "SELECT position, stream_id, stream_version, type, causation_id, "
                "record_time FROM events ORDER BY position"
            )
        ]
        commands: dict[str, StoredCommand] = {}
        for command_id, stream, *rest in connection.execute(
            "SELECT command_id, stream_id, stage, stream_version, position, event_count, "
            "request IS NOT NULL FROM commands ORDER BY accept_sequence"
        ):
            assert command_id not in commands
            commands[command_id] = StoredCommand(str(UUID(bytes=stream)), *rest)
        query = "SELECT position FROM outbox ORDER BY position"
        outbox = [position for (position,) in connection.execute(query)]
        oldest = len(events) - len(outbox) if pruned else 0
        assert outbox == [event.position for event in events[oldest:]]
        (head,) = connection.execute("SELECT position FROM log_head").fetchone()
        assert head == len(events)
    return Stored(events, commands)


def _reading(data_dir: Path) -> "closing[sqlite3.Connection]":
    path = data_dir / "write.db"
    return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True))
