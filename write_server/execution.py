"""What the writer's thread does for the event loop: one call for each step, one after the other."""

from collections.abc import Mapping, Sequence

from eventcore.command_gateway import Outcome
from eventcore.errors import StoreUnavailable
from eventcore.messages import CommandEnvelope, Lane
from write_server.batch import BatchExecutor
from write_server.jobs import Task
from write_server.pruning import Pruning
from write_server.snapshotting import Snapshotting
from write_server.storing import CommandStoring


class Execution:
    """Stores commands, executes commands, writes snapshots, prunes the outbox. Blocking."""

    def __init__(
        self,
        *,
        storing: CommandStoring,
        executor: BatchExecutor,
        snapshotting: Snapshotting,
        pruning: Pruning,
    ) -> None:
        self._storing = storing
        self._executor = executor
        self._snapshotting = snapshotting
        self._pruning = pruning

    def store(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome]:
        """Stores commands to be executed later: see `CommandStoring.store`."""
        return self._storing.store(envelopes)

    def execute(
        self, tasks: Sequence[Task], *, retry_room: Mapping[Lane, int]
    ) -> list[Outcome]:
        """Executes commands, in order, and returns the outcome of each: `BatchExecutor.execute`.

        Raises:
            StoreUnavailable: what became of the commands is not known.
        """
        jobs, outcomes = self._storing.begin(tasks)
        if jobs:
            executed = self._executor.execute(jobs, retry_room=retry_room)
            self._pruning.note(executed)
            for job, outcome in zip(jobs, executed, strict=True):
                outcomes[job.command_id] = outcome
                away = isinstance(outcome, StoreUnavailable)
                if job.accepted is not None and not away:
                    self._storing.ended(job.command_id)
        return [outcomes[task.command_id] for task in tasks]

    @property
    def snapshots_are_due(self) -> bool:
        """Whether there are snapshots to write."""
        return self._snapshotting.is_due

    def write_snapshots(self) -> None:
        """Writes some of them: see `Snapshotting.write`."""
        self._snapshotting.write()

    @property
    def pruning_is_due(self) -> bool:
        """Whether there is something to take out of the outbox: see `Pruning.is_due`."""
        return self._pruning.is_due

    def prune_outbox(self) -> int:
        """Takes some of it out, and returns how many events: see `Pruning.prune`."""
        return self._pruning.prune()
