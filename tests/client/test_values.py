"""Values that the client makes, and those that it takes from messages."""

import time
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_, or_
from uuid import RFC_4122, UUID

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from orderes.client import new_command_id, time_of
from orderes.client.values import timestamp_of

CHANCE = (1 << 80) - 1 & ~(0xF << 76 | 0b11 << 62)
"""The bits of a UUIDv7 that are neither its time nor fixed."""


def test_an_id_says_when_it_was_made_and_is_nobody_elses() -> None:
    before = time.time_ns() // 1_000_000
    ids = [UUID(new_command_id()) for _ in range(1_000)]
    after = time.time_ns() // 1_000_000

    assert len(set(ids)) == len(ids)
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, RFC_4122)}
    assert all(before <= id_.int >> 80 <= after for id_ in ids)
    numbers = [id_.int for id_ in ids]
    assert reduce(or_, numbers) & CHANCE == CHANCE
    assert reduce(and_, numbers) & CHANCE == 0


@given(
    st.datetimes(
        datetime(1, 1, 2),  # noqa: DTZ001  # What it is bounded by has no zone.
        datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.timezones(),
    )
)
def test_a_time_comes_back_from_a_message_as_it_went_in(moment: datetime) -> None:
    back = time_of(timestamp_of("moment", moment))

    # An hour that a zone has twice is equal to no time of another zone: PEP 495.
    assert back == moment.astimezone(UTC)
    assert back.utcoffset() == timedelta(0)


def test_what_is_finer_than_a_microsecond_is_cut_off() -> None:
    assert time_of(Timestamp(seconds=1, nanos=1_999)) == datetime(
        1970, 1, 1, 0, 0, 1, 1, UTC
    )
