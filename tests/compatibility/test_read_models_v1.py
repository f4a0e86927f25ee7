"""A projector and a read server of today over the databases of the release before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio
from structlog.testing import capture_logs

from eventcore.process.lifecycle import Stop
from eventcore.process.settings import ProcessSettings, load_settings
from eventcore.sql.sqlite import owner_engine
from eventcore.sql.write_store import SqlWriteStore
from orderes.events.v1 import events_pb2
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
)
from orderes.v1.query_service_pb2_grpc import QueryServiceStub
from projector.bootstrap import serve as serve_projector
from projector.settings import ProjectorSettings
from read_server.bootstrap import serve as serve_queries
from read_server.settings import ReadServerSettings
from tests.compatibility.store_v1 import HEAD_POSITION, ORDERS, copied_to, plain
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import LOCALHOST, channel_to, failure_of

if TYPE_CHECKING:  # It is in the types of the stubs alone.
    from orderes.v1.query_service_pb2_grpc import QueryServiceAsyncStub

S = TypeVar("S", bound=ProcessSettings)

COMPLETE = Consistency(min_position=HEAD_POSITION)
CALL_SECONDS_MAX = 30.0


def migrate(data_dir: Path) -> None:
    """As a write server does when it starts."""
    engine = owner_engine(data_dir / "write.db", durable=False)
    with closing(SqlWriteStore(engine, new_store_id=an_id())):
        pass


@asynccontextmanager
async def served(
    serve: Callable[[S, Stop], Coroutine[Any, Any, None]],
    settings_class: type[S],
    logs: list[Any],
    **settings: Any,
) -> AsyncIterator[str]:
    """A process in this one, from when it listens until it has drained; its address."""

    def listening() -> list[Any]:
        return [line for line in logs if line["event"] == "listening"]

    before, stop = len(listening()), Stop()
    serving = asyncio.create_task(serve(load_settings(settings_class, settings), stop))
    await eventually(lambda: len(listening()) > before or serving.done())
    try:
        yield str(listening()[-1]["address"])
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def a_projector(data_dir: Path, logs: list[Any]) -> AsyncIterator[None]:
    async with served(
        serve_projector,
        ProjectorSettings,
        logs,
        data_dir=data_dir,
        projector_address=LOCALHOST,
        projector_metrics_address=LOCALHOST,
    ):
        yield


@asynccontextmanager
async def a_read_server(
    data_dir: Path, logs: list[Any]
) -> AsyncIterator["QueryServiceAsyncStub"]:
    async with (
        served(
            serve_queries,
            ReadServerSettings,
            logs,
            data_dir=data_dir,
            read_address=LOCALHOST,
            read_metrics_address=LOCALHOST,
        ) as address,
        channel_to(address) as channel,
    ):
        yield QueryServiceStub(channel)


async def complete(queries: "QueryServiceAsyncStub") -> None:
    """Returns once the read models are at the end of the old log."""

    async def is_so() -> bool:
        request = ListOrdersRequest(consistency=COMPLETE)
        try:
            await queries.ListOrders(request, timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    await eventually(is_so)


async def test_old_read_models_are_made_anew_and_answer_as_those_of_today(
    tmp_path: Path,
) -> None:
    data_dir = await asyncio.to_thread(copied_to, tmp_path)
    await asyncio.to_thread(migrate, data_dir)
    with capture_logs() as logs:
        async with a_read_server(data_dir, logs) as queries:
            failure = await failure_of(queries.ListOrders(ListOrdersRequest()))
            assert failure.reason == "STORE_UNAVAILABLE"
            async with a_projector(data_dir, logs):
                await complete(queries)
                await assert_answers(queries)
            # A restart keeps what was made.
            async with a_projector(data_dir, logs):
                await assert_answers(queries)
    (line,) = [line for line in logs if line["event"] == "read_models_are_made_anew"]
    assert line["old_layout"] == 1


async def assert_answers(queries: "QueryServiceAsyncStub") -> None:
    for order_id, order in ORDERS.items():
        answer = await queries.GetOrder(
            GetOrderRequest(order_id=order_id, consistency=COMPLETE)
        )
        assert plain(answer.order) == order
    listed = await queries.ListOrders(ListOrdersRequest(consistency=COMPLETE))
    assert {order.order_id: plain(order) for order in listed.orders} == ORDERS
    codes = []
    for order_id in ORDERS:
        history = await queries.ListOrderEvents(
            ListOrderEventsRequest(order_id=order_id, consistency=COMPLETE)
        )
        codes += [
            (event.schema_version, event.order_cancelled.reason_code)
            for event in history.events
            if event.type == "OrderCancelled"
        ]
    assert codes == [(2, events_pb2.CANCEL_REASON_OTHER)] * 3
