"""ListOrderEvents: the audit trail of an order, oldest first."""

import grpc
import pytest

from contexts.orders.events import OrderLineQuantityChanged
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import ListOrderEventsRequest
from tests.orders.examples import PLACED, SHIPPED_ORDER
from tests.read_server.scene import STORE_ID, Scene
from tests.support.envelopes import an_id
from tests.support.rpc import failure_of

CHANGED = OrderLineQuantityChanged(product_id="apples", old_quantity=1, new_quantity=2)


async def test_every_event_is_listed_with_its_envelope(scene: Scene) -> None:
    await scene.place()
    order_id = await scene.place(*SHIPPED_ORDER)
    answer = await scene.queries.ListOrderEvents(
        ListOrderEventsRequest(order_id=order_id)
    )
    assert [event.type for event in answer.events] == [
        "OrderPlaced",
        "PaymentReceived",
        "PaymentReceived",
        "OrderPaid",
        "OrderShipped",
    ]
    assert [event.order_version for event in answer.events] == [1, 2, 3, 4, 5]
    assert [event.position for event in answer.events] == [2, 3, 4, 5, 6]
    assert {event.order_id for event in answer.events} == {order_id}
    assert {event.correlation_id for event in answer.events} == {"flow"}
    assert answer.events[4].order_shipped.tracking_number == "T-1"
    assert answer.next_page_token == ""
    assert (answer.read_info.position, answer.read_info.store_id) == (6, STORE_ID)


@pytest.mark.parametrize("page_size", [1, 2, 5, 6])
async def test_pages_put_together_are_the_list(scene: Scene, page_size: int) -> None:
    order_id = await scene.place(*SHIPPED_ORDER)
    versions: list[int] = []
    token = ""
    while True:
        page = await scene.queries.ListOrderEvents(
            ListOrderEventsRequest(
                order_id=order_id, page_size=page_size, page_token=token
            )
        )
        assert len(page.events) <= page_size
        versions += [event.order_version for event in page.events]
        token = page.next_page_token
        if not token:
            break
    assert versions == [1, 2, 3, 4, 5]


async def test_the_size_of_a_page_has_a_default_and_a_limit(scene: Scene) -> None:
    order_id = await scene.place(PLACED, *[CHANGED] * 1009)
    for asked, given in ((0, 100), (7, 7), (1000, 1000), (2**31 - 1, 1000)):
        answer = await scene.queries.ListOrderEvents(
            ListOrderEventsRequest(order_id=order_id, page_size=asked)
        )
        assert len(answer.events) == given


async def test_an_unknown_order_is_not_found(scene: Scene) -> None:
    failure = await failure_of(
        scene.queries.ListOrderEvents(ListOrderEventsRequest(order_id=an_id()))
    )
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "ORDER_NOT_FOUND",
    )


async def test_a_token_belongs_to_its_order(scene: Scene) -> None:
    order_id = await scene.place(*SHIPPED_ORDER)
    other_id = await scene.place(*SHIPPED_ORDER)
    page = await scene.queries.ListOrderEvents(
        ListOrderEventsRequest(order_id=order_id, page_size=1)
    )
    failure = await failure_of(
        scene.queries.ListOrderEvents(
            ListOrderEventsRequest(order_id=other_id, page_token=page.next_page_token)
        )
    )
    assert set(failure.violations) == {"page_token"}


async def test_all_wrong_fields_are_named_at_once(scene: Scene) -> None:
    request = ListOrderEventsRequest(
        order_id="",
        page_size=-1,
        page_token="x",
        consistency=Consistency(min_position=0),
    )
    failure = await failure_of(scene.queries.ListOrderEvents(request))
    assert set(failure.violations) == {
        "order_id",
        "page_size",
        "page_token",
        "consistency.min_position",
    }
