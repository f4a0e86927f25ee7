"""What a read model is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Table

from eventcore.messages import EventEnvelope
from eventcore.model_tables import ReadModelTables

Apply: TypeAlias = Callable[[Sequence[EventEnvelope], ReadModelTables], None]
"""Folds a batch, in order of position, into the tables. It neither commits nor moves the
checkpoint: its caller does both, in the same transaction. It raises what stops the projection
there: `UnknownEvent` and `MalformedEvent`, for an event that this code cannot read, or whatever
breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A read model: a name, its tables, and how a batch of events changes them.

    It is a pure function of the log: the same events give the same rows, however they are cut into
    batches.
    """

    name: str
    """Never changes: checkpoints, metrics and operators know it by that."""
    version: int
    """Of its tables and of what stands in them. Raised with every change of either: the projector
    then makes it anew from the log, beside the one that serves."""
    tables: Sequence[Table]
    """The tables that it alone writes: declarations, of which each generation has its own."""
    apply: Apply
