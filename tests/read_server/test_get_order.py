"""GetOrder: the order as it is, and how fresh the answer is."""

import asyncio

import grpc

from orderes.v1 import order_pb2
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import GetOrderRequest
from tests.orders.examples import PAID_ORDER, SHIPPED
from tests.read_server.scene import STORE_ID, Scene, at
from tests.support.envelopes import an_id
from tests.support.order_log import START
from tests.support.rpc import failure_of


async def test_an_order_is_what_its_events_made_of_it(scene: Scene) -> None:
    order_id = await scene.place(*PAID_ORDER, SHIPPED)
    answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
    assert answer.order.order_id == order_id
    assert answer.order.state == order_pb2.ORDER_STATE_SHIPPED
    assert answer.order.payment_state == order_pb2.PAYMENT_STATE_PAID
    assert answer.order.total.minor_units == 1999
    assert (answer.order.version, answer.order.position) == (5, 5)
    assert answer.order.place_time == at(START)


async def test_every_answer_says_how_fresh_it_is(scene: Scene) -> None:
    order_id = await scene.place()
    info = (await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))).read_info
    assert (info.position, info.store_id) == (1, STORE_ID)
    assert info.position_time == at(START)
    assert info.lag.ToMicroseconds() == 0


async def test_an_order_id_may_be_in_capitals(scene: Scene) -> None:
    order_id = await scene.place()
    request = GetOrderRequest(order_id=order_id.upper())
    answer = await scene.queries.GetOrder(request)
    assert answer.order.order_id == order_id


async def test_an_unknown_order_is_not_found(scene: Scene) -> None:
    order_id = an_id()
    failure = await failure_of(
        scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
    )
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "ORDER_NOT_FOUND",
    )
    assert failure.metadata["order_id"] == order_id
    assert "min_position" in failure.message


async def test_calls_that_come_together_get_each_its_own_answer(scene: Scene) -> None:
    known = [await scene.place(project=False) for _ in range(100)]
    await scene.project()
    unknown = [an_id() for _ in range(20)]

    async def get(order_id: str) -> str:
        answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
        return str(answer.order.order_id)

    answers = await asyncio.gather(
        *map(get, known), *map(get, known), *map(get, unknown), return_exceptions=True
    )
    assert answers[:200] == known + known
    assert all(isinstance(answer, grpc.aio.AioRpcError) for answer in answers[200:])


async def test_an_empty_request_names_what_is_required(scene: Scene) -> None:
    failure = await failure_of(scene.queries.GetOrder(GetOrderRequest()))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {"order_id"}
    assert failure.violations["order_id"].startswith("required: a UUID")


async def test_all_wrong_fields_are_named_at_once_with_wrong_metadata(
    scene: Scene,
) -> None:
    consistency = Consistency(min_position=0, store_id="x" * 65)
    consistency.max_wait.seconds = -1
    failure = await failure_of(
        scene.queries.GetOrder(
            GetOrderRequest(order_id="no", consistency=consistency),
            metadata=[("x-correlation-id", "x" * 129)],
        )
    )
    assert failure.reason == "INVALID_FIELDS"
    assert set(failure.violations) == {
        "order_id",
        "consistency.min_position",
        "consistency.max_wait",
        "consistency.store_id",
        "x-correlation-id",
    }
