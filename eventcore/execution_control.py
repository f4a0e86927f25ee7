"""The port of the switch that pauses the execution of commands: a row of the store.

It outlives restarts, and holds for every write server of the store.
"""

from typing import Protocol

from eventcore.operators import Pause


class ControlReader(Protocol):
    """Reads the switch, as of one moment of the store. Blocking."""

    def pause(self) -> Pause | None:
        """The pause, if execution is paused."""


class ExecutionControl(ControlReader, Protocol):
    """Turns the switch, inside a unit of work."""

    def set_pause(self, pause: Pause | None) -> None:
        """Pauses execution, or resumes it."""
