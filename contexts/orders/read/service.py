"""The QueryService: requests to queries, rows to responses, and nothing else."""

from collections.abc import Callable
from typing import Any

import grpc.aio
import structlog

from contexts.orders.read.queries import OrderQueries
from contexts.orders.wire import queries as wire
from eventcore.checkpoints import Checkpoint
from eventcore.fields import FieldFaults
from eventcore.messages import Instant
from eventcore.rpc.call import current_call
from eventcore.rpc.server import RpcService
from orderes.v1 import query_service_pb2 as pb2
from orderes.v1.query_service_pb2_grpc import (
    QueryServiceServicer,
    add_QueryServiceServicer_to_server,
)

SERVICE = pb2.DESCRIPTOR.services_by_name["QueryService"]

Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()


class QueryService(QueryServiceServicer):
    """Reads orders."""

    def __init__(self, *, queries: OrderQueries, clock: Callable[[], Instant]) -> None:
        self._queries = queries
        self._clock = clock

    def hosted(self) -> RpcService:
        """The service as a server hosts it."""
        return RpcService(
            name=SERVICE.full_name,
            add=lambda server: add_QueryServiceServicer_to_server(self, server),
            merges_violations=True,
        )

    async def GetOrder(
        self, request: pb2.GetOrderRequest, context: Context
    ) -> pb2.GetOrderResponse:
        query = wire.get_order(request, _faults(order_id=request.order_id))
        answer = await self._queries.get_order(
            query, time_remaining_seconds=context.time_remaining()
        )
        response = pb2.GetOrderResponse()
        response.order.ParseFromString(answer.order)
        self._complete(response.read_info, answer.checkpoint)
        return response

    async def ListOrders(
        self, request: pb2.ListOrdersRequest, context: Context
    ) -> pb2.ListOrdersResponse:
        query = wire.list_orders(request, _faults())
        page = await self._queries.list_orders(
            query, time_remaining_seconds=context.time_remaining()
        )
        response = pb2.ListOrdersResponse()
        for order in page.rows:
            response.orders.add().ParseFromString(order)
        if page.next_start is not None:
            response.next_page_token = wire.ORDER_PAGE_TOKENS.write(
                page.next_start, query=query.filter
            )
        self._complete(response.read_info, page.checkpoint, rows=len(page.rows))
        return response

    async def ListOrderEvents(
        self, request: pb2.ListOrderEventsRequest, context: Context
    ) -> pb2.ListOrderEventsResponse:
        query = wire.list_order_events(request, _faults(order_id=request.order_id))
        page = await self._queries.list_order_events(
            query, time_remaining_seconds=context.time_remaining()
        )
        response = pb2.ListOrderEventsResponse()
        for event in page.rows:
            response.events.add().ParseFromString(event)
        if page.next_start is not None:
            response.next_page_token = wire.EVENT_PAGE_TOKENS.write(
                page.next_start, query=query.filter
            )
        self._complete(response.read_info, page.checkpoint, rows=len(page.rows))
        return response

    def _complete(
        self, info: Any, checkpoint: Checkpoint, *, rows: int | None = None
    ) -> None:
        """Says how fresh the answer is, and leaves the one line that a query leaves."""
        info.CopyFrom(wire.read_info(checkpoint, now=self._clock()))
        call = current_call()
        log.debug(
            "query",
            method=call.method,
            correlation_id=call.correlation_id,
            position=checkpoint.position,
            **({} if rows is None else {"rows": rows}),
            **call.subject,
        )


def _faults(**subject: str) -> FieldFaults:
    """Checks that go on from what is wrong with the metadata of the call."""
    call = current_call()
    call.subject.update({name: value for name, value in subject.items() if value})
    return FieldFaults(call.violations)
