"""Calls that read orders."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar, Unpack, assert_never

from orderes.client.demands import consistency_of
from orderes.client.errors import ProjectionLagging, StoreMismatch
from orderes.client.options import Reading, Tracing, check_names
from orderes.client.page_tokens import own_token, server_token
from orderes.client.positions import Position
from orderes.client.retrying import GIVE_UP_SECONDS, Repeating
from orderes.client.session import Session
from orderes.client.values import duration_of, timestamp_of
from orderes.client.watch import CHECKPOINT_INTERVAL_SECONDS, Watch
from orderes.events.v1.events_pb2 import RecordedEvent
from orderes.v1.order_pb2 import Order, OrderState
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetCustomerSummaryResponse,
    GetOrderRequest,
    GetOrderResponse,
    ListOrderEventsRequest,
    ListOrderEventsResponse,
    ListOrdersRequest,
    ListOrdersResponse,
    ListProductSalesRequest,
    ListProductSalesResponse,
    ProductSales,
    WatchOrdersRequest,
)

if TYPE_CHECKING:  # The library has no such name: it is for type checkers.
    from grpc.aio import UnaryUnaryMultiCallable

QueryT = TypeVar(
    "QueryT",
    bound=GetOrderRequest
    | GetCustomerSummaryRequest
    | ListOrdersRequest
    | ListOrderEventsRequest
    | ListProductSalesRequest,
)
AnswerT = TypeVar(
    "AnswerT",
    bound=GetOrderResponse
    | GetCustomerSummaryResponse
    | ListOrdersResponse
    | ListOrderEventsResponse
    | ListProductSalesResponse,
)
PagedT = TypeVar(
    "PagedT", bound=ListOrdersRequest | ListOrderEventsRequest | ListProductSalesRequest
)
PageT = TypeVar(
    "PageT",
    bound=ListOrdersResponse | ListOrderEventsResponse | ListProductSalesResponse,
)
RowT = TypeVar("RowT")


class OrdersSelection(Reading, total=False):
    """Which orders are listed, and how. What is given must all match."""

    customer_id: str
    states: Iterable[OrderState.ValueType]
    """Only those in one of these states."""
    product_id: str
    """Only those with this product."""
    placed_since: datetime
    """Only those placed at or after this time."""
    placed_before: datetime
    """Only those placed before this time."""
    order_by: str
    """"place_time" or "update_time", with " desc" or without. Default: "place_time desc"."""


class SalesSelection(Reading, total=False):
    """Which sales are listed, and how. What is given must all match."""

    product_id: str
    since_day: str
    """First day, "2026-01-31", UTC."""
    until_day: str
    """Last day, "2026-01-31", UTC."""


class QueryCalls:
    """The QueryService, a method for each of its calls, and one for each whole list.

    Unless it is asked for otherwise, an answer has everything that this client has written or read
    before: see `Reading`. Each method raises an `OrderesError`: a refusal, or what kept the last
    attempt from an answer.
    """

    _session: Session

    async def get_order(
        self,
        *,
        order_id: str,
        as_of: int | datetime | None = None,
        **reading: Unpack[Reading],
    ) -> GetOrderResponse:
        """An order.

        Args:
            order_id: Which.
            as_of: As it was after so many events, or at that time; None: as it is.
            reading: How fresh the answer has to be.
        """
        check_names(reading, Reading)
        request = GetOrderRequest(order_id=order_id)
        match as_of:
            case None:
                pass
            case int():
                request.version = as_of
            case datetime():
                request.time.CopyFrom(timestamp_of("as_of", as_of))
            case _:
                assert_never(as_of)
        return await self._ask(self._session.queries.GetOrder, request, reading)

    async def get_customer_summary(
        self, *, customer_id: str, **reading: Unpack[Reading]
    ) -> GetCustomerSummaryResponse:
        """A customer's totals."""
        check_names(reading, Reading)
        request = GetCustomerSummaryRequest(customer_id=customer_id)
        method = self._session.queries.GetCustomerSummary
        return await self._ask(method, request, reading)

    async def list_orders(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        **selection: Unpack[OrdersSelection],
    ) -> ListOrdersResponse:
        """A page of orders.

        Args:
            page_size: Default: 50, at most 500.
            page_token: The next_page_token of the page before; everything but `page_size` must be
                the same then.
            selection: Which orders, and how fresh the answer has to be.
        """
        check_names(selection, OrdersSelection)
        request = ListOrdersRequest(
            page_size=page_size,
            customer_id=selection.get("customer_id", ""),
            states=selection.get("states", ()),
            product_id=selection.get("product_id", ""),
            order_by=selection.get("order_by", ""),
        )
        if (since := selection.get("placed_since")) is not None:
            request.placed_since.CopyFrom(timestamp_of("placed_since", since))
        if (before := selection.get("placed_before")) is not None:
            request.placed_before.CopyFrom(timestamp_of("placed_before", before))
        method = self._session.queries.ListOrders
        return await self._ask_page(method, request, selection, page_token)

    def all_orders(
        self, *, page_size: int = 0, **selection: Unpack[OrdersSelection]
    ) -> AsyncGenerator[Order, None]:
        """All orders of a list, page by page; for the arguments see `list_orders`."""
        return _all_rows(
            lambda token: self.list_orders(
                page_size=page_size, page_token=token, **selection
            ),
            lambda page: page.orders,
        )

    async def list_order_events(
        self,
        *,
        order_id: str,
        page_size: int = 0,
        page_token: str = "",
        **reading: Unpack[Reading],
    ) -> ListOrderEventsResponse:
        """A page of an order's events, oldest first: its audit trail.

        Args:
            order_id: Which.
            page_size: Default: 100, at most 1000.
            page_token: The next_page_token of the page before; everything but `page_size` must be
                the same then.
            reading: How fresh the answer has to be.
        """
        check_names(reading, Reading)
        request = ListOrderEventsRequest(order_id=order_id, page_size=page_size)
        method = self._session.queries.ListOrderEvents
        return await self._ask_page(method, request, reading, page_token)

    def all_order_events(
        self, *, order_id: str, page_size: int = 0, **reading: Unpack[Reading]
    ) -> AsyncGenerator[RecordedEvent, None]:
        """All events of an order, page by page; for the arguments see `list_order_events`."""
        return _all_rows(
            lambda token: self.list_order_events(
                order_id=order_id, page_size=page_size, page_token=token, **reading
            ),
            lambda page: page.events,
        )

    async def list_product_sales(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        **selection: Unpack[SalesSelection],
    ) -> ListProductSalesResponse:
        """A page of what each product sold on each day, by day, product and currency.

        Args:
            page_size: Default: 100, at most 1000.
            page_token: The next_page_token of the page before; everything but `page_size` must be
                the same then.
            selection: Which sales, and how fresh the answer has to be.
        """
        check_names(selection, SalesSelection)
        request = ListProductSalesRequest(
            page_size=page_size,
            product_id=selection.get("product_id", ""),
            since_day=selection.get("since_day", ""),
            until_day=selection.get("until_day", ""),
        )
        method = self._session.queries.ListProductSales
        return await self._ask_page(method, request, selection, page_token)

    def all_product_sales(
        self, *, page_size: int = 0, **selection: Unpack[SalesSelection]
    ) -> AsyncGenerator[ProductSales, None]:
        """All sales of a list, page by page; for the arguments see `list_product_sales`."""
        return _all_rows(
            lambda token: self.list_product_sales(
                page_size=page_size, page_token=token, **selection
            ),
            lambda page: page.product_sales,
        )

    def watch_orders(
        self,
        *,
        after: Position | None = None,
        order_ids: Iterable[str] = (),
        customer_id: str = "",
        event_types: Iterable[str] = (),
        checkpoint_interval_seconds: float = CHECKPOINT_INTERVAL_SECONDS,
        give_up_seconds: float | None = GIVE_UP_SECONDS,
        **tracing: Unpack[Tracing],
    ) -> Watch:
        """The events of orders, for `async for`: first the past, and then what happens.

        Args:
            after: Where to begin: `Watch.position` of another time, `position` of a client for what
                comes after its writes, or `Position(position=0)` for everything there is. None:
                only what is new once the stream has begun.
            order_ids: Only these orders, at most 100. The filters that are given must all match.
            customer_id: Only this customer's orders.
            event_types: Only these, at most 50: "OrderPlaced".
            checkpoint_interval_seconds: How often `position` moves though nothing matches, and how
                soon a dead server is noticed; 1 to 60.
            give_up_seconds: How long to go on trying to come back without progress; None: for ever.
            tracing: Where the call comes from.
        """
        check_names(tracing, Tracing)
        request = WatchOrdersRequest(
            order_ids=order_ids,
            customer_id=customer_id,
            event_types=event_types,
            checkpoint_interval=duration_of(
                "checkpoint_interval_seconds", checkpoint_interval_seconds
            ),
        )
        return Watch(
            self._session,
            request=request,
            metadata=self._session.metadata(tracing),
            patience=self._session.patience(give_up_seconds),
            after=after,
            mark_seconds=checkpoint_interval_seconds,
        )

    async def _ask(
        self,
        method: "UnaryUnaryMultiCallable[QueryT, AnswerT]",
        request: QueryT,
        reading: Reading,
    ) -> AnswerT:
        answer, _ = await self._caught_up(method, request, reading)
        return answer

    async def _ask_page(
        self,
        method: "UnaryUnaryMultiCallable[PagedT, PageT]",
        request: PagedT,
        reading: Reading,
        page_token: str,
    ) -> PageT:
        """Asks for a page. A later one demands what the first one did."""
        request.page_token, own = server_token(page_token)
        if page_token:
            repeating = self._repeating_query(reading)
            page = await self._answer(method, request, reading, own, repeating)
        else:
            page, own = await self._caught_up(method, request, reading)
        page.next_page_token = own_token(page.next_page_token, own)
        return page

    async def _caught_up(
        self,
        method: "UnaryUnaryMultiCallable[QueryT, AnswerT]",
        request: QueryT,
        reading: Reading,
    ) -> tuple[AnswerT, Position | None]:
        """The answer, and what the client demanded of it by itself.

        A store that was replaced has nothing of what was written before: what is known of the old
        one is dropped, once, unless the caller himself asked for it.
        """
        repeating = self._repeating_query(reading)
        own = self._own_demand(reading)
        try:
            return await self._answer(method, request, reading, own, repeating), own
        except StoreMismatch as error:
            if own is None:
                raise
            self._session.seen.replaced_by(error.store_id)
        own = self._own_demand(reading)
        return await self._answer(method, request, reading, own, repeating), own

    def _own_demand(self, reading: Reading) -> Position | None:
        demands = (reading.get("min_position"), reading.get("max_staleness_seconds"))
        if demands != (None, None) or not reading.get("catch_up", True):
            return None
        return self._session.seen.newest

    def _repeating_query(self, reading: Reading) -> Repeating:
        wait_seconds = reading.get("max_wait_seconds")
        return self._session.repeating(reading, wait_seconds=wait_seconds)

    async def _answer(
        self,
        method: "UnaryUnaryMultiCallable[QueryT, AnswerT]",
        request: QueryT,
        reading: Reading,
        own: Position | None,
        repeating: Repeating,
    ) -> AnswerT:
        request.consistency.CopyFrom(consistency_of(reading, own))
        is_patient = reading.get("max_wait_seconds") is None
        answer = await self._session.call(
            method,
            request,
            reading,
            repeating=repeating,
            # The server has waited as long as the caller wants to: its "not yet" is the answer.
            final=() if is_patient else (ProjectionLagging,),
        )
        self._session.seen.note(Position.of(answer.read_info))
        return answer


async def _all_rows(
    page_after: Callable[[str], Awaitable[PageT]],
    rows_of: Callable[[PageT], Iterable[RowT]],
) -> AsyncGenerator[RowT, None]:
    token = ""
    while True:
        page = await page_after(token)
        for row in rows_of(page):
            yield row
        token = page.next_page_token
        if not token:
            return
