"""Read models are a fold of the log, however it is cut into batches."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contexts.orders.events import OrderEvent
from contexts.orders.read.order_events import OrderEventsProjection
from contexts.orders.read.orders import OrdersProjection
from contexts.orders.read.registry import ORDER_PROJECTIONS
from contexts.orders.read.tables import order_key
from contexts.orders.schemas import order_codec
from contexts.orders.view import OrderView, fold_view
from contexts.orders.wire.answers import event_to_answer, order_to_answer
from eventcore.errors import CorruptLog, MalformedEvent, UnknownEvent
from eventcore.memory.read_store import MemoryReadStore
from eventcore.messages import EventEnvelope
from eventcore.projection import Projection
from eventcore.read_store import Key, Row
from orderes.events.v1 import events_pb2
from orderes.v1 import order_pb2
from tests.orders.examples import ORDER_ID, PAID_ORDER, PLACED
from tests.orders.histories import lives
from tests.support.envelopes import an_id
from tests.support.order_log import a_log

ORDER_IDS = [an_id() for _ in range(3)]
PROJECTIONS = [pytest.param(one, id=one.name) for one in ORDER_PROJECTIONS]


@st.composite
def logs(draw: st.DrawFn) -> list[EventEnvelope]:
    """The lives of some orders, in turns."""
    histories: dict[str, list[OrderEvent]] = {
        order_id: [event for step in draw(lives()) for event in step.events]
        for order_id in ORDER_IDS[: draw(st.integers(1, 3))]
    }
    turns = [order_id for order_id, events in histories.items() for _ in events]
    return a_log(
        [
            (order_id, histories[order_id].pop(0))
            for order_id in draw(st.permutations(turns))
        ]
    )


@st.composite
def batches(draw: st.DrawFn, log: list[EventEnvelope]) -> list[list[EventEnvelope]]:
    """The log, cut somewhere."""
    cuts = sorted(draw(st.sets(st.integers(0, len(log)))) | {0, len(log)})
    return [log[start:end] for start, end in pairwise(cuts)]


def rows_after(
    projection: Projection, *batches: list[EventEnvelope]
) -> dict[str, dict[Key, Row]]:
    """Every row of the projection, by table and key."""
    store = MemoryReadStore()
    for batch in batches:
        with store.begin() as unit:
            projection.apply(batch, unit.tables)
            unit.commit()
    return store._committed.rows


def folded(log: list[EventEnvelope]) -> dict[str, OrderView]:
    """What each order of the log is, from the one fold of the context."""
    views: dict[str, OrderView] = {}
    for order_id in {envelope.stream.key for envelope in log}:
        view = fold_view(
            order_id,
            [
                (order_codec.decode(envelope), envelope.position, envelope.record_time)
                for envelope in log
                if envelope.stream.key == order_id
            ],
        )
        assert view is not None
        views[order_id] = view
    return views


@pytest.mark.parametrize("projection", PROJECTIONS)
@given(st.data())
def test_rows_do_not_depend_on_how_the_log_is_cut(
    projection: Projection, data: st.DataObject
) -> None:
    log = data.draw(logs())
    cut = data.draw(batches(log))
    assert rows_after(projection, *cut) == rows_after(projection, log)


@given(logs())
def test_orders_are_the_fold_of_their_events(log: list[EventEnvelope]) -> None:
    rows = rows_after(OrdersProjection(), log)
    views = folded(log)
    assert {key[0] for key in rows["orders"]} == set(map(order_key, views))
    for order_id, view in views.items():
        row = rows["orders"][(order_key(order_id),)]
        assert row["answer"] == order_to_answer(view)
        assert (row["customer_id"], row["state"]) == (
            view.customer_id,
            view.state.value,
        )
        assert (row["place_time"], row["update_time"]) == (
            view.place_time,
            view.update_time,
        )
        assert (row["version"], row["position"]) == (view.version, view.position)


@given(logs())
def test_products_are_those_of_the_lines(log: list[EventEnvelope]) -> None:
    rows = rows_after(OrdersProjection(), log)
    assert set(rows["order_products"]) == {
        (line.product_id, view.place_time, order_key(order_id))
        for order_id, view in folded(log).items()
        for line in view.lines
    }


@given(logs())
def test_every_event_is_listed_as_it_is(log: list[EventEnvelope]) -> None:
    rows = rows_after(OrderEventsProjection(), log)["order_events"]
    assert [rows[(envelope.position,)]["answer"] for envelope in log] == [
        event_to_answer(envelope) for envelope in log
    ]
    assert len(rows) == len(log)


def test_an_answer_is_ready_to_send() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    rows = rows_after(OrdersProjection(), log)["orders"]
    order = order_pb2.Order.FromString(rows[(order_key(ORDER_ID),)]["answer"])
    assert order.order_id == ORDER_ID
    assert order.state == order_pb2.ORDER_STATE_PAID
    assert (order.version, order.position) == (4, 4)
    events = rows_after(OrderEventsProjection(), log)["order_events"]
    first = events_pb2.RecordedEvent.FromString(events[(1,)]["answer"])
    assert first.order_placed.customer_id == "customer-1"
    assert first.correlation_id == "flow"


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_events_of_other_aggregates_are_none_of_its_business(
    projection: Projection,
) -> None:
    (event,) = a_log([(ORDER_ID, PLACED)])
    other = replace(event, stream=event.stream._replace(category="invoice"))
    rows = rows_after(projection, [other])
    assert all(not table for table in rows.values())


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("change", [{"type": "OrderEaten"}, {"schema_version": 2}])
def test_an_event_that_this_code_does_not_know_is_an_error(
    projection: Projection, change: dict[str, object]
) -> None:
    (event,) = a_log([(ORDER_ID, PLACED)])
    with pytest.raises(UnknownEvent) as caught:
        rows_after(projection, [replace(event, **change)])  # type: ignore[arg-type]
    assert caught.value.position == 1


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_an_event_whose_payload_is_not_of_its_schema_is_an_error(
    projection: Projection,
) -> None:
    (event,) = a_log([(ORDER_ID, PLACED)])
    with pytest.raises(MalformedEvent) as caught:
        rows_after(projection, [replace(event, payload="{}")])
    assert caught.value.event_id == event.event_id


def test_an_event_that_skips_a_version_is_an_error() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    with pytest.raises(CorruptLog, match="is at version 1"):
        rows_after(OrdersProjection(), [log[0], log[2]])


def test_an_event_that_comes_twice_is_an_error() -> None:
    log = a_log([(ORDER_ID, event) for event in PAID_ORDER])
    with pytest.raises(CorruptLog, match="is at version 2"):
        rows_after(OrdersProjection(), log[:2], log[1:2])
