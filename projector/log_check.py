"""Whether the log is what it should be: versions without a hole, times that never fall, content
that can be read.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from eventcore.errors import EventCoreError
from eventcore.messages import EventEnvelope, StreamId
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
        """Checks a batch."""
        versions = _versions(events, tables)
        for event in events:
            self._check_version(event, versions)
            self._check_time(event)
            self._check_content(event)
        tables.write(
            streams,
            [
                {"category": stream.category, "key": stream.key, "version": version}
                for stream, version in versions.items()
            ],
        )

    def _check_version(
        self, event: EventEnvelope, versions: dict[StreamId, int]
    ) -> None:
        expected = versions.get(event.stream, 0) + 1
        if event.stream_version != expected:
            self.findings.append(
                f"position {event.position} is version {event.stream_version} of "
                f"{event.stream.category} {event.stream.key}, which should be at {expected}"
            )
        versions[event.stream] = event.stream_version

    def _check_time(self, event: EventEnvelope) -> None:
        if event.record_time < self._newest_time:
            self.findings.append(
                f"position {event.position} is older than the event before it"
            )
        self._newest_time = max(self._newest_time, event.record_time)

    def _check_content(self, event: EventEnvelope) -> None:
        decode = self._decoders.get(event.stream.category)
        if decode is None:
            self.findings.append(
                f"position {event.position} is of a category that this release does not know: "
                f"{event.stream.category}"
            )
            return
        try:
            decode(event)
        except EventCoreError as error:
            self.findings.append(error.message)


def _versions(
    events: Sequence[EventEnvelope], tables: ReadModelTables
) -> dict[StreamId, int]:
    """The version of each stream of a batch, before it; those that are new are left out."""
    names = {(event.stream.category, event.stream.key) for event in events}
    found = tables.fetch(streams, names)
    return {
        StreamId(row["category"], row["key"]): row["version"] for row in found.values()
    }
