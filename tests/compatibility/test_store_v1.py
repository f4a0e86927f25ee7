"""A store that was written before cancellations had a code reads as one written today."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from contexts.orders.events import (
    ORDER_CATEGORY,
    CancelReason,
    OrderCancelled,
    OrderEvent,
)
from contexts.orders.fingerprint import fingerprint
from contexts.orders.schemas import order_codec
from contexts.orders.view import fold_view
from contexts.orders.wire import commands as wire
from contexts.orders.wire.values import order_to_proto
from eventcore.fields import FieldFaults
from eventcore.messages import CommandRecord, EventEnvelope, StreamId
from eventcore.sql.sqlite import owner_engine
from eventcore.sql.write_store import SqlWriteStore
from tests.compatibility.store_v1 import (
    CALLS,
    HEAD_POSITION,
    ORDERS,
    STORE_ID,
    OldCall,
    copied_to,
    plain,
)
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.fixtures import STORE_V1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlWriteStore]:
    """The old write store, opened by this release."""
    path = copied_to(tmp_path) / "write.db"
    store = SqlWriteStore(owner_engine(path, durable=False), new_store_id=an_id())
    with closing(store):
        yield store


def log_of(store: SqlWriteStore) -> list[EventEnvelope]:
    with store.begin() as unit:
        return unit.events.read_log(after_position=0, limit=HEAD_POSITION + 1)


def test_the_old_store_is_as_it_was_left() -> None:
    """What the other tests prove, they prove of this."""
    path = STORE_V1 / "write.db"
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        (version,) = connection.execute(
            "SELECT schema_version FROM log_head"
        ).fetchone()
        kinds = connection.execute("SELECT type, schema_version FROM events").fetchall()
        stages = connection.execute(
            "SELECT stage, event_count > 0 FROM commands"
        ).fetchall()
    assert version == 1
    types = {event_class.__name__ for event_class in get_args(OrderEvent)}
    assert set(kinds) == {(event_type, 1) for event_type in types}
    assert Counter(kinds)["OrderCancelled", 1] == 3
    assert set(stages) == {("committed", 1), ("committed", 0), ("refused", 0)}
    assert len(stages) == len(CALLS)


def test_the_log_is_read_to_its_end(store: SqlWriteStore) -> None:
    assert store.store_id == STORE_ID
    events = [order_codec.decode(envelope) for envelope in log_of(store)]
    assert len(events) == HEAD_POSITION
    cancelled = [event for event in events if isinstance(event, OrderCancelled)]
    assert [event.reason for event in cancelled] == [
        order["cancel_reason"] for order in ORDERS.values() if "cancel_reason" in order
    ]
    assert {event.reason_code for event in cancelled} == {CancelReason.OTHER}


def test_orders_are_what_they_were(store: SqlWriteStore) -> None:
    streams = {order_id: StreamId(ORDER_CATEGORY, order_id) for order_id in ORDERS}
    with store.begin() as unit:
        histories = unit.events.load(list(streams.values()))
    for order_id, stream in streams.items():
        view = fold_view(
            order_id,
            [
                (order_codec.decode(envelope), envelope.position, envelope.record_time)
                for envelope in histories[stream]
            ],
        )
        assert view is not None
        assert plain(order_to_proto(view)) == ORDERS[order_id]


@pytest.fixture
def records(store: SqlWriteStore) -> dict[str, CommandRecord]:
    with store.begin() as unit:
        return unit.journal.find([call.command_id for call in CALLS])


def test_a_repeated_command_has_the_fingerprint_that_is_stored(
    records: dict[str, CommandRecord],
) -> None:
    assert {call.rpc for call in CALLS} == set(FORMS)
    for call in CALLS:
        assert fingerprint_of(call) == records[call.command_id].fingerprint, call


def fingerprint_of(call: OldCall) -> object:
    """As the service takes it."""
    request, faults = call.request(), FieldFaults()
    expected_version = wire.expected_version(request, faults)
    command = FORMS[call.rpc].read(request, faults)
    faults.raise_if_any()
    return fingerprint(call.rpc, command, expected_version)
