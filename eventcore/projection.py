"""What a read model is."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Table

from eventcore.messages import EventEnvelope
from eventcore.read_store import ReadModelTables


class Projection(Protocol):
    """A read model: a name, its tables, and how a batch of events changes them.

    It is a pure function of the log: the same events give the same rows, however they are cut into
    batches.
    """

    @property
    def name(self) -> str:
        """Names its checkpoint; never changes."""

    @property
    def tables(self) -> Sequence[Table]:
        """The tables that it alone writes."""

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        """Folds a batch, in order of position, into the tables. It neither commits nor moves the
        checkpoint: its caller does both, in the same transaction.

        Raises:
            UnknownEvent, MalformedEvent: an event that this code cannot read. The projection
                stops there.
        """
