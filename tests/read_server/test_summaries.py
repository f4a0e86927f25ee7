"""GetCustomerSummary and ListProductSales over the wire."""

from typing import Any

import grpc

from contexts.orders.events import OrderPaid, PaymentReceived
from contexts.orders.wire.summaries import (
    SALES_PAGE_TOKENS,
    SalesSortKey,
    list_product_sales,
)
from eventcore.fields import FieldFaults
from eventcore.page_tokens import PageStart
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    CustomerSummary,
    GetCustomerSummaryRequest,
    ListProductSalesRequest,
    ListProductSalesResponse,
)
from tests.orders.examples import CANCELLED_ORDER, PAID_ORDER, REFUND, euro
from tests.read_server.scene import STORE_ID, Scene, at, placed
from tests.support.order_log import SECOND, START
from tests.support.rpc import Failure, failure_of

PRICE = euro(1)


async def summary_of(scene: Scene, customer_id: str) -> CustomerSummary:
    request = GetCustomerSummaryRequest(customer_id=customer_id)
    answer = await scene.queries.GetCustomerSummary(request)
    assert answer.read_info.store_id == STORE_ID
    summary: CustomerSummary = answer.customer_summary
    return summary


async def sales(scene: Scene, **fields: object) -> ListProductSalesResponse:
    request = ListProductSalesRequest(**fields)  # type: ignore[arg-type]
    answer: ListProductSalesResponse = await scene.queries.ListProductSales(request)
    return answer


async def refused(scene: Scene, **fields: object) -> Failure:
    request = ListProductSalesRequest(**fields)  # type: ignore[arg-type]
    return await failure_of(scene.queries.ListProductSales(request))


async def sell(scene: Scene, *product_ids: str) -> None:
    """An order with one piece of each, which is paid at once."""
    amount = euro(len(product_ids))
    await scene.place(
        placed(*product_ids),
        PaymentReceived(payment_id="p-1", amount=amount),
        OrderPaid(amount_paid=amount),
        project=False,
    )


async def test_a_customer_has_the_totals_of_its_orders(scene: Scene) -> None:
    await scene.place(*PAID_ORDER)
    await scene.place(*CANCELLED_ORDER, REFUND)
    await scene.place(placed(customer_id="customer-2"))
    summary = await summary_of(scene, "customer-1")
    assert (summary.order_count, summary.cancelled_count) == (2, 1)
    (net_paid,) = summary.net_paid
    assert (net_paid.currency_code, net_paid.minor_units) == ("EUR", 1999 + 600)
    assert summary.first_order_time == at(START)
    assert summary.last_order_time.ToMicroseconds() > START


async def test_a_customer_without_orders_has_none(scene: Scene) -> None:
    summary = await summary_of(scene, "nobody")
    assert summary == CustomerSummary(customer_id="nobody")


async def test_a_customer_has_to_be_named(scene: Scene) -> None:
    failure = await failure_of(
        scene.queries.GetCustomerSummary(
            GetCustomerSummaryRequest(consistency=Consistency(min_position=0))
        )
    )
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {"customer_id", "consistency.min_position"}


async def test_what_was_paid_is_sold(scene: Scene) -> None:
    await sell(scene, "apples", "bread")
    await sell(scene, "apples")
    await scene.place(placed("pears"))
    found = [
        (each.product_id, each.quantity, each.revenue.minor_units, each.order_count)
        for each in (await sales(scene)).product_sales
    ]
    assert found == [("apples", 2, 2, 2), ("bread", 1, 1, 1)]


async def test_pages_of_sales_follow_each_other_without_a_gap(scene: Scene) -> None:
    names = [f"product-{number:02}" for number in range(25)]
    await sell(scene, *names)
    await scene.project()
    token, found = "", []
    while True:
        page = await sales(scene, page_size=7, page_token=token)
        found += [each.product_id for each in page.product_sales]
        token = page.next_page_token
        if not token:
            break
    assert found == names


async def test_pages_between_days_put_together_are_what_lies_between(
    scene: Scene,
) -> None:
    """From the first day on and up to the last one, each whole."""
    for number in range(6):
        scene.log.now = START + number * 86_400 * SECOND
        await sell(scene, "apples", "bread")
    await scene.project()
    days = sorted({each.day for each in (await sales(scene)).product_sales})
    between: dict[str, Any] = {"since_day": days[1], "until_day": days[4]}
    token, found = "", []
    while True:
        page = await sales(scene, page_size=3, page_token=token, **between)
        found += [(each.day, each.product_id) for each in page.product_sales]
        token = page.next_page_token
        if not token:
            break
    assert found == [(day, name) for day in days[1:5] for name in ("apples", "bread")]
    # One that was made up shows nothing that lies before.
    request = ListProductSalesRequest(**between)
    query = list_product_sales(request, FieldFaults())
    start = PageStart(after=SalesSortKey("", "", ""), first_position=1)
    token = SALES_PAGE_TOKENS.write(start, query=query.filter)
    page = await sales(scene, page_token=token, **between)
    assert [(each.day, each.product_id) for each in page.product_sales] == found


async def test_a_token_of_another_query_is_refused(scene: Scene) -> None:
    await sell(scene, "apples", "bread")
    await scene.project()
    token = (await sales(scene, page_size=1)).next_page_token
    failure = await refused(scene, page_token=token, product_id="bread")
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {"page_token"}


async def test_every_wrong_field_of_a_list_is_named(scene: Scene) -> None:
    failure = await refused(
        scene, page_size=-1, page_token="x", since_day="yesterday", until_day="1-1"
    )
    assert set(failure.violations) == {
        "page_size",
        "page_token",
        "since_day",
        "until_day",
    }


async def test_only_the_days_and_the_product_that_are_asked_for(scene: Scene) -> None:
    await sell(scene, "apples", "bread")
    await scene.project()
    (day,) = {each.day for each in (await sales(scene)).product_sales}
    bread = await sales(scene, product_id="bread", since_day=day, until_day=day)
    assert [each.product_id for each in bread.product_sales] == ["bread"]
    assert not (await sales(scene, since_day="2100-01-01")).product_sales
    assert not (await sales(scene, until_day="2000-01-01")).product_sales
