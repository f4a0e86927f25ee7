"""Whether the log is what it should be: versions without a hole, times that never fall, content
that can be read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from eventcore.errors import EventCoreError
from eventcore.messages import EventEnvelope, Instant, StreamId
from eventcore.model_tables import ReadModelTables
from eventcore.projection import Projection

streams = Table(
    "log_check_streams",
    MetaData(),
    # On disk and not in memory: there are as many as there are orders.
    Column("category", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)


class LogCheck:
    """Takes the log in, batch by batch, and notes what is wrong with it."""

    def __init__(
        self, decoders: Mapping[str, Callable[[EventEnvelope], object]]
    ) -> None:
        """Prepares to check.

        Args:
            decoders: What reads the events of each category, or raises.
        """
        self._decoders = decoders
        self._newest_time = 0
        self.findings: list[str] = []
        self.projection = Projection(
            name="log_check", version=1, tables=(streams,), apply=self.apply
        )
        """It keeps what it has to remember in tables of its own."""

    def apply(self, events: Sequence[EventEnvelope], tables: ReadModelTables) -> None:
        """Checks a batch.

        What it raises leaves no trace, so that parts of the batch can be checked after it.
        """
        versions = _versions(events, tables)
        newest_time = self._newest_time
        findings: list[str] = []
        for event in events:
            findings += _of_version(event, versions)
            findings += _of_time(event, newest_time)
            findings += self._of_content(event)
            newest_time = max(newest_time, event.record_time)
        tables.write(
            streams,
            [
                {"category": stream.category, "key": stream.key, "version": version}
                for stream, version in versions.items()
            ],
        )
        self._newest_time = newest_time
        self.findings += findings

    def _of_content(self, event: EventEnvelope) -> Iterator[str]:
        decode = self._decoders.get(event.stream.category)
        if decode is None:
            yield (
                f"position {event.position} is of a category that this release does not know: "
                f"{event.stream.category}"
            )
            return
        try:
            decode(event)
        except EventCoreError as error:
            yield error.message


def _of_version(event: EventEnvelope, versions: dict[StreamId, int]) -> Iterator[str]:
    """Compares the version of an event with those before it, and takes it in."""
    expected = versions.get(event.stream, 0) + 1
    if event.stream_version != expected:
        yield (
            f"position {event.position} is version {event.stream_version} of "
            f"{event.stream.category} {event.stream.key}, which should be at {expected}"
        )
    versions[event.stream] = event.stream_version


def _of_time(event: EventEnvelope, newest_time: Instant) -> Iterator[str]:
    if event.record_time < newest_time:
        yield f"position {event.position} is older than the event before it"


def _versions(
    events: Sequence[EventEnvelope], tables: ReadModelTables
) -> dict[StreamId, int]:
    """The version of each stream of a batch, before it; those that are new are left out."""
    names = {(event.stream.category, event.stream.key) for event in events}
    found = tables.fetch(streams, names)
    return {
        StreamId(row["category"], row["key"]): row["version"] for row in found.values()
    }
