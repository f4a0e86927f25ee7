"""What people see of a customer's totals, and of what was sold."""

import json

import grpc
import pytest

from cli import output
from orderes.type.v1.money_pb2 import Money
from orderes.v1.query_service_pb2 import (
    CustomerSummary,
    GetCustomerSummaryRequest,
    GetCustomerSummaryResponse,
    ListProductSalesRequest,
    ListProductSalesResponse,
    ProductSales,
)
from tests.cli.scripted import Run, ScriptedServer, refusal, words_of
from tests.cli.terminal import COLUMNS

BEYOND = 2**63 - 1


def euros(minor_units: int) -> Money:
    return Money(currency_code="EUR", minor_units=minor_units)


def test_a_customer_is_shown_with_a_sum_for_each_currency(
    server: ScriptedServer, run: Run
) -> None:
    summary = CustomerSummary(
        customer_id="[b]c-1",
        order_count=1234,
        cancelled_count=5,
        net_paid=[euros(123_456), Money(currency_code="JPY", minor_units=500)],
    )
    summary.first_order_time.FromJsonString("2026-11-23T09:00:00Z")
    summary.last_order_time.FromJsonString("2026-11-24T09:00:00Z")
    answer = GetCustomerSummaryResponse(customer_summary=summary)
    server.answers["GetCustomerSummary"] = [answer]

    words = words_of(run("customer", "[b]c-1"))

    request = GetCustomerSummaryRequest.FromString(
        server.requests["GetCustomerSummary"][0]
    )
    assert request.customer_id == "[b]c-1"
    assert words.startswith(
        "customer [b]c-1 orders 1,234 of them cancelled 5 "
        "paid less refunded 1234.56 EUR paid less refunded 500 JPY "
        "first order 2026-11-23 09:00:00 UTC latest order 2026-11-24 09:00:00 UTC"
    )


def test_a_customer_without_orders_has_no_dates(
    server: ScriptedServer, run: Run
) -> None:
    summary = CustomerSummary(customer_id="c-1")
    answer = GetCustomerSummaryResponse(customer_summary=summary)
    server.answers["GetCustomerSummary"] = [answer]

    words = words_of(run("customer", "c-1"))

    assert words.startswith("customer c-1 orders 0 of them cancelled 0 read at")


def test_the_largest_sum_that_there_is_is_shown_as_the_least_that_it_is(
    server: ScriptedServer, run: Run
) -> None:
    summary = CustomerSummary(customer_id="c-1", net_paid=[euros(BEYOND)])
    answer = GetCustomerSummaryResponse(customer_summary=summary)
    server.answers["GetCustomerSummary"] = [answer]

    words = words_of(run("customer", "c-1"))

    assert "at least 92233720368547758.07 EUR" in words


def test_a_wrong_customer_is_named_where_it_was_typed(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["GetCustomerSummary"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields",
            reason="INVALID_FIELDS",
            fields={"customer_id": "is too long"},
        )
    ]

    words = words_of(run("customer", "c-1"))

    assert "CUSTOMER_ID customer_id is too long" in words


def test_sales_are_listed_with_the_filters_that_were_typed(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_WIDTH", COLUMNS)
    sold = [
        ProductSales(
            product_id="[b]book" * 9,
            day="2026-11-23",
            quantity=1234,
            revenue=euros(BEYOND),
            order_count=1000,
        ),
        ProductSales(
            product_id="pen",
            day="2026-11-24",
            quantity=1,
            revenue=euros(50),
            order_count=1,
        ),
    ]
    server.answers["ListProductSales"] = [
        ListProductSalesResponse(product_sales=sold, next_page_token="t-2")
    ]

    result = run(
        *("sales", "--product", "book", "--since", "2026-11-23"),
        *("--until", "2026-11-30", "--page-size", "2", "--page-token", "t-1"),
    )

    request = ListProductSalesRequest.FromString(server.requests["ListProductSales"][0])
    assert (request.product_id, request.since_day, request.until_day) == (
        "book",
        "2026-11-23",
        "2026-11-30",
    )
    assert (request.page_size, request.page_token) == (2, "t-1")
    assert max(map(len, result.output.splitlines())) <= COLUMNS
    words = words_of(result)
    assert "1,234 at least 92233720368547758.07 EUR 1,000" in words
    assert "2026-11-24 pen 1 0.50 EUR 1" in words
    assert "There is more: --page-token t-2" in words


def test_where_nothing_was_sold_it_is_said(server: ScriptedServer, run: Run) -> None:
    server.answers["ListProductSales"] = [ListProductSalesResponse()]

    words = words_of(run("sales"))

    request = ListProductSalesRequest.FromString(server.requests["ListProductSales"][0])
    assert request == ListProductSalesRequest()
    assert words.startswith("No sales. read at")


def test_sales_as_json_are_the_message(server: ScriptedServer, run: Run) -> None:
    sold = ProductSales(product_id="book", day="2026-11-23", revenue=euros(1))
    server.answers["ListProductSales"] = [
        ListProductSalesResponse(product_sales=[sold])
    ]

    (shown,) = json.loads(run("sales", "--json").stdout)["product_sales"]

    assert shown["quantity"] == "0"
    assert shown["revenue"]["minor_units"] == "1"


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "2026-11-23T09:00:00Z", ""])
def test_what_is_no_day_is_a_fault_of_usage(
    server: ScriptedServer, run: Run, day: str
) -> None:
    result = run("sales", "--since", day)

    assert result.exit_code == 2
    assert "is not a day: write it like 2026-11-23" in " ".join(result.stderr.split())
    assert not server.requests


def test_wrong_days_are_named_with_their_flags(
    server: ScriptedServer, run: Run
) -> None:
    server.answers["ListProductSales"] = [
        refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid fields",
            reason="INVALID_FIELDS",
            fields={"since_day": "is after until_day", "until_day": "is before"},
        )
    ]

    words = words_of(run("sales"))

    assert "--since since_day is after until_day" in words
    assert "--until until_day is before" in words
