"""What holds in a lane of the command queue: how much it takes, what it does when it is full."""

from dataclasses import dataclass

from eventcore.write_administration import FullPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRule:
    """The bounds of a lane, in commands, and its policy."""

    capacity: int
    """Slots: commands that are in memory until their outcome is committed."""
    full_policy: FullPolicy = FullPolicy.REJECT
    backlog_capacity: int = 10_000
    """Commands that are taken in to be stored and executed later; they hold no slot. What a pause,
    or a command that broke, moves from memory to disk comes on top: no more than the lane held."""
    holding_max: int = 1000
    """Commands whose calls are held until there is room."""
    holding_seconds: float = 5.0
    """How long a call is held."""

    @property
    def streams_capacity(self) -> int:
        """Slots that streams together may hold: half of the lane, so that calls find room."""
        return max(1, self.capacity // 2)
