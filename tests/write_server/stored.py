"""What a write store holds, and a store that fails where a test wants it to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from eventcore.command_journal import CommandRequest
from eventcore.errors import StoreUnavailable
from eventcore.messages import CommandRecord, EventEnvelope, StreamId
from eventcore.write_store import WriteStore, WriteUnit

ALL = 1_000_000


class Killed(BaseException):
    """The process ends here."""


def log_of(store: WriteStore) -> list[EventEnvelope]:
    """The whole log. It has no hole, and the outbox holds the same."""
    with store.begin() as unit:
        log = unit.events.read_log(after_position=0, limit=ALL)
        assert unit.outbox.read(after_position=0, limit=ALL).events == log
        assert unit.events.head().position == len(log)
    versions: dict[StreamId, int] = {}
    for envelope in log:
        assert envelope.stream_version == versions.get(envelope.stream, 0) + 1
        versions[envelope.stream] = envelope.stream_version
    return log


def requests_of(store: WriteStore, *command_ids: str) -> dict[str, CommandRequest]:
    """The requests that are kept."""
    with store.begin() as unit:
        stored = unit.journal.stored(command_ids)
    return {command_id: command.request for command_id, command in stored.items()}


def records_of(store: WriteStore, *command_ids: str) -> dict[str, CommandRecord]:
    """Those of the commands that are in the journal."""
    with store.begin() as unit:
        return unit.journal.find(command_ids)


@dataclass(slots=True)
class Failure:
    """Where a store fails, and what it raises."""

    step: str = ""
    """As in "events.append", "commit" or "begin"; empty does not fail."""
    error: Callable[[], BaseException] = StoreUnavailable
    after: bool = False
    """Whether the step is done before it fails, so that nobody can know."""
    call: int = 0
    """The number of the call that fails, from 1; 0 is none."""
    calls: list[str] = field(default_factory=list)
    """The steps that were taken."""

    def take(self, step: str, work: Callable[[], Any]) -> Any:
        """Takes a step, or fails in it."""
        self.calls.append(step)
        if step != self.step and len(self.calls) != self.call:
            return work()
        if self.after:
            work()
        raise self.error()


class _FailingPart:
    """A port whose methods may fail."""

    def __init__(self, name: str, part: Any, failure: Failure) -> None:
        self._name = name
        self._part = part
        self._failure = failure

    def __getattr__(self, method: str) -> Callable[..., Any]:
        step = f"{self._name}.{method}"
        call = getattr(self._part, method)
        return lambda *args, **named: self._failure.take(
            step, lambda: call(*args, **named)
        )


class _FailingUnit:
    def __init__(self, unit: WriteUnit, failure: Failure) -> None:
        self._unit = unit
        self._failure = failure
        self.events: Any = _FailingPart("events", unit.events, failure)
        self.journal: Any = _FailingPart("journal", unit.journal, failure)
        self.outbox: Any = _FailingPart("outbox", unit.outbox, failure)
        self.snapshots: Any = _FailingPart("snapshots", unit.snapshots, failure)
        self.control: Any = _FailingPart("control", unit.control, failure)

    def commit(self) -> None:
        self._failure.take("commit", self._unit.commit)


class FailingStore:
    """A store that fails where `failure` says."""

    def __init__(self, store: WriteStore) -> None:
        self._store = store
        self.failure = Failure()

    def fail_at(
        self,
        step: str,
        *,
        error: Callable[[], BaseException] = StoreUnavailable,
        after: bool = False,
    ) -> None:
        self.failure = Failure(step, error, after)

    def fail_at_call(
        self, call: int, *, error: Callable[[], BaseException], after: bool = False
    ) -> None:
        """Fails at the k-th call, whatever it is."""
        self.failure = Failure(error=error, after=after, call=call)

    def work(self) -> None:
        """Fails no longer, and counts its steps anew."""
        self.failure = Failure()

    @contextmanager
    def begin(self) -> Iterator[WriteUnit]:
        self.failure.take("begin", lambda: None)
        with self._store.begin() as unit:
            yield _FailingUnit(unit, self.failure)

    def close(self) -> None:
        self._store.close()


def numbers(steps: Sequence[str], step: str) -> int:
    """How often a step was taken."""
    return sum(taken == step for taken in steps)
