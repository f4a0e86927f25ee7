"""Lanes, and commands to put into them."""

from collections import Counter
from collections.abc import Iterable

from eventcore.messages import Lane, StreamId
from tests.support.envelopes import a_stream, an_id
from tests.write_server.bus import queued
from tests.write_server.things import a_command
from write_server.entries import Entry, fresh_entry, stored_entry
from write_server.lanes import (
    LANE_WEIGHTS,
    Lanes,
)
from write_server.rules import LaneRule

ROUND = sum(LANE_WEIGHTS.values())
"""Commands in which every lane that waits gets exactly its weight."""

STREAMS = [a_stream() for _ in range(4)]


def lanes_of(capacity: int = 10_000) -> Lanes:
    return Lanes(dict.fromkeys(Lane, LaneRule(capacity=capacity)))


def an_entry(
    lane: Lane = Lane.NORMAL, stream: StreamId | None = None, *, of_stream: bool = False
) -> Entry:
    return fresh_entry(
        a_command(stream=stream, lane=lane), now=0.0, of_stream=of_stream
    )


def a_stored(
    lane: Lane = Lane.NORMAL, stream: StreamId | None = None, *, attempts: int = 0
) -> Entry:
    command = queued(an_id(), stream, lane=lane, attempts=attempts)
    return stored_entry(command, since=0.0)


def fill(lanes: Lanes, lane: Lane, count: int) -> list[Entry]:
    """Queues commands of as many streams."""
    return put(lanes, *(an_entry(lane) for _ in range(count)))


def put(lanes: Lanes, *entries: Entry) -> list[Entry]:
    for entry in entries:
        lanes.put(entry)
    return list(entries)


def by_lane(entries: Iterable[Entry]) -> dict[Lane, int]:
    return dict(Counter(entry.lane for entry in entries))
