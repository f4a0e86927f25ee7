"""The port of the switch that pauses the execution of commands: a row of the store.

It outlives restarts, and holds for every write server of the store.
"""

from dataclasses import dataclass
from typing import Protocol

from eventcore.messages import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Execution is paused."""

    reason: str
    """As the operator has said it."""
    time: Instant
    """Since when."""


class ControlReader(Protocol):
    """Reads the switch, as of one moment of the store. Blocking."""

    def pause(self) -> Pause | None:
        """The pause, if execution is paused."""


class ExecutionControl(ControlReader, Protocol):
    """Turns the switch, inside a unit of work."""

    def set_pause(self, pause: Pause | None) -> None:
        """Pauses execution, or resumes it."""
