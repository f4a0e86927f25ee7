"""The QueryService: requests to queries, rows to responses, and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc.aio
import structlog

from contexts.orders.read.moments import Known
from contexts.orders.read.queries import OrderQueries
from contexts.orders.read.summaries import SummaryQueries
from contexts.orders.read.time_travel import TimeTravel
from contexts.orders.read.watching.watch import OrderWatch
from contexts.orders.wire import queries as wire
from contexts.orders.wire import summaries as summaries_wire
from contexts.orders.wire import watching as watching_wire
from contexts.orders.wire.freshness import read_info
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

    def __init__(
        self,
        *,
        queries: OrderQueries,
        time_travel: TimeTravel,
        summaries: SummaryQueries,
        watch: OrderWatch,
        clock: Callable[[], Instant],
    ) -> None:
        self._queries = queries
        self._time_travel = time_travel
        self._summaries = summaries
        self._watch = watch
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
        remaining = context.time_remaining()
        if query.as_of_version is None and query.as_of_time is None:
            answer = await self._queries.get_order(
                query, time_remaining_seconds=remaining
            )
            order, known = answer.order, answer.known
        else:
            order, known = await self._time_travel.get_order(
                query, time_remaining_seconds=remaining
            )
        response = pb2.GetOrderResponse()
        response.order.ParseFromString(order)
        self._complete(response.read_info, known)
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
        self._complete(response.read_info, page.known, rows=len(page.rows))
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
        self._complete(response.read_info, page.known, rows=len(page.rows))
        return response

    # A message of the stream comes serialised: see `watched_event`.
    async def WatchOrders(  # type: ignore[override]
        self, request: pb2.WatchOrdersRequest, context: Context
    ) -> AsyncIterator[bytes]:
        query = watching_wire.watch_orders(request, _faults())
        async with aclosing(self._watch.messages(query)) as messages:
            async for message in messages:
                yield message

    async def GetCustomerSummary(
        self, request: pb2.GetCustomerSummaryRequest, context: Context
    ) -> pb2.GetCustomerSummaryResponse:
        query = summaries_wire.get_customer_summary(request, _faults())
        summary, known = await self._summaries.get_customer_summary(
            query, time_remaining_seconds=context.time_remaining()
        )
        response = pb2.GetCustomerSummaryResponse(
            customer_summary=summaries_wire.summary_to_proto(summary)
        )
        self._complete(response.read_info, known)
        return response

    async def ListProductSales(
        self, request: pb2.ListProductSalesRequest, context: Context
    ) -> pb2.ListProductSalesResponse:
        query = summaries_wire.list_product_sales(request, _faults())
        page = await self._summaries.list_product_sales(
            query, time_remaining_seconds=context.time_remaining()
        )
        response = pb2.ListProductSalesResponse(
            product_sales=map(summaries_wire.sales_to_proto, page.rows)
        )
        if page.next_start is not None:
            response.next_page_token = summaries_wire.SALES_PAGE_TOKENS.write(
                page.next_start, query=query.filter
            )
        self._complete(response.read_info, page.known, rows=len(page.rows))
        return response

    def _complete(self, info: Any, known: Known, *, rows: int | None = None) -> None:
        """Says how fresh the answer is, and leaves the one line that a query leaves."""
        info.CopyFrom(read_info(known.checkpoint, now=self._clock(), stale=known.stale))
        call = current_call()
        log.debug(
            "query",
            method=call.method,
            correlation_id=call.correlation_id,
            position=known.checkpoint.position,
            **({} if rows is None else {"rows": rows}),
            **call.subject,
        )


def _faults(**subject: str) -> FieldFaults:
    """Checks that go on from what is wrong with the metadata of the call."""
    call = current_call()
    call.subject.update({name: value for name, value in subject.items() if value})
    return FieldFaults(call.violations)
