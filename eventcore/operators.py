"""What operators are to the house: who acts, and what they have said."""

from dataclasses import dataclass

from eventcore.messages import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who makes a change, as far as the server can tell."""

    address: str
    """Where the call comes from."""
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Something stands still because an operator wants it to."""

    reason: str
    """As the operator has said it."""
    time: Instant
    """Since when."""
