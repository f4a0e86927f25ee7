"""How fast the writer is: measured, to tell callers when to come back."""

import math

RETRY_SECONDS_MIN = 0.05
"""A retry sooner than this would meet the same full queue."""

RETRY_SECONDS_MAX = 30.0
"""A longer wait tells a caller nothing better than to try again."""

RETRY_SECONDS_UNMEASURED = 1.0
"""Before the first batch there is no measure."""

MEMORY = 0.9
"""How much of the past a new batch leaves: about the last ten batches count."""


class Pace:
    """The size and the time of the latest batches, and what follows for those that wait.

    A batch has a price of its own, the commit, beside that of its commands; how much is which is
    not known. So a time is the least that it can be: what waits is not charged a commit each
    because it was quiet before, nor a full batch for a few commands.
    """

    def __init__(self, *, batch_commands_max: int) -> None:
        self._batch_commands_max = batch_commands_max
        self._batches = 0.0
        self._commands = 0.0
        self._seconds = 0.0

    def observe(self, commands: int, seconds: float) -> None:
        """Takes in a batch that was executed and committed in that time."""
        self._batches = self._batches * MEMORY + 1
        self._commands = self._commands * MEMORY + commands
        self._seconds = self._seconds * MEMORY + seconds

    def seconds_for(self, commands: int, *, per_batch: int | None = None) -> float:
        """How long that many commands take at least; 0 before the first batch.

        Args:
            commands: How many are ahead.
            per_batch: How many of them one batch takes, where that is less than it holds.
        """
        if not self._batches:
            return 0.0
        batches = math.ceil(commands / (per_batch or self._batch_commands_max))
        return self._seconds * min(batches / self._batches, commands / self._commands)

    def retry_seconds(self, commands: int, *, per_batch: int | None = None) -> float:
        """When to try again while that many commands are ahead; for the rest see `seconds_for`."""
        if not self._batches:
            return RETRY_SECONDS_UNMEASURED
        seconds = self.seconds_for(commands, per_batch=per_batch)
        return min(max(seconds, RETRY_SECONDS_MIN), RETRY_SECONDS_MAX)
