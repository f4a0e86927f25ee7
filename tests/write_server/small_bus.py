"""A bus as small as it can be: one line of commands over a store that fails and is killed.

It does what the real one does to keep the commands of a stream in order, and its clients do what
clients are told to: they repeat what they got no answer to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventcore.command_gateway import Outcome
from eventcore.errors import StoreUnavailable
from eventcore.messages import CommandEnvelope, CommandRecord, CommandStage
from eventcore.write_store import WriteStore
from tests.write_server.outcomes import receipt
from tests.write_server.stored import FailingStore, Killed, log_of
from tests.write_server.things import THING, ThingExecutor
from write_server.aggregates import fold
from write_server.recovery import recover

ROUNDS_MAX = 2000
"""More than any line needs, if each command comes to an end after its attempts."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the store in one step."""

    call: int
    """The number of the call that fails, from 1."""
    killed: bool
    """The process ends; otherwise the store is away for that call."""
    after: bool
    """The call was done before."""


class SmallBus:
    """Executes commands through faults and restarts, and checks all answers against each other."""

    def __init__(
        self, store: WriteStore, new_executor: Callable[[WriteStore], ThingExecutor]
    ) -> None:
        self._failing = FailingStore(store)
        self._store = store
        self._new_executor = new_executor
        self.executor = new_executor(self._failing)
        self.sent: list[CommandEnvelope] = []
        self.line: list[tuple[str, CommandEnvelope | None]] = []
        """What waits: with its content, or stored."""
        self.answers: dict[str, CommandRecord] = {}
        """The first final one to each command."""

    def send(self, envelopes: Sequence[CommandEnvelope]) -> None:
        """Takes in new commands."""
        self.sent += envelopes
        self.line += [(envelope.command_id, envelope) for envelope in envelopes]

    def repeat(self, number: int) -> None:
        """Takes in a command once more, unless it waits here."""
        if not self.sent:
            return
        envelope = self.sent[number % len(self.sent)]
        if envelope.command_id not in dict(self.line):
            self.line.append((envelope.command_id, envelope))

    def run(self, count: int, fault: Fault | None) -> None:
        """Executes the first commands that wait."""
        batch, rest = self.line[:count], self.line[count:]
        outcomes = self._with(
            fault,
            lambda: self.executor.execute(
                [envelope or command_id for command_id, envelope in batch]
            ),
        )
        if outcomes is not None:
            self.line = self._still_waiting(batch, outcomes) + rest

    def spill(self, fault: Fault | None) -> None:
        """Stores all that waits in memory."""
        fresh = [(i, envelope) for i, envelope in self.line if envelope is not None]
        outcomes = self._with(
            fault, lambda: self.executor.store([envelope for _, envelope in fresh])
        )
        if outcomes is None:
            return
        kept = dict(self._still_waiting(fresh, outcomes))
        gone = {command_id for command_id, _ in fresh} - kept.keys()
        self.line = [
            (command_id, kept.get(command_id, envelope))
            for command_id, envelope in self.line
            if command_id not in gone
        ]

    def write_snapshots(self, fault: Fault | None) -> None:
        self._with(fault, self.executor.execution.write_snapshots)

    def drain(self) -> None:
        """Executes all that is left, on a store that works."""
        rounds = 0
        while self.line:
            rounds += 1
            assert rounds <= ROUNDS_MAX, self.line
            self.run(3, None)

    def restart(self) -> None:
        """Another process finds what is stored; what got no answer is sent again."""
        self.executor = self._new_executor(self._failing)
        unanswered = [waiting for waiting in self.line if waiting[1] is not None]
        stored = [command.command_id for command in recover(self._store).commands]
        self.line = [(command_id, None) for command_id in stored]
        self.line += [waiting for waiting in unanswered if waiting[0] not in stored]

    def _with(
        self, fault: Fault | None, work: Callable[[], list[Outcome] | None]
    ) -> list[Outcome] | None:
        if fault is not None:
            error = Killed if fault.killed else StoreUnavailable
            self._failing.fail_at_call(fault.call, error=error, after=fault.after)
        try:
            return work()
        except StoreUnavailable:
            return None
        except Killed:
            self.restart()
            return None
        finally:
            self._failing.work()
            self._check_cache()

    def _still_waiting(
        self,
        batch: Sequence[tuple[str, CommandEnvelope | None]],
        outcomes: Sequence[Outcome],
    ) -> list[tuple[str, CommandEnvelope | None]]:
        waiting: list[tuple[str, CommandEnvelope | None]] = []
        for (command_id, envelope), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, StoreUnavailable):
                waiting.append((command_id, envelope))
            elif receipt(outcome).record.stage is CommandStage.ACCEPTED:
                waiting.append((command_id, None))
            else:
                record = receipt(outcome).record
                assert self.answers.setdefault(command_id, record) == record
        return waiting

    def _check_cache(self) -> None:
        """What it holds is what the log says, and never more."""
        log = log_of(self._store)
        for stream in {envelope.stream for envelope in self.sent}:
            cached = self.executor.cache.get(stream)
            if cached is not None:
                history = [event for event in log if event.stream == stream]
                true = fold(THING, history[: cached.version])
                assert (cached.version, cached.state) == (true.version, true.state)
                assert (cached.view, cached.position) == (true.view, true.position)
