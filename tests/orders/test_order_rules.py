"""The rules, each at its bound and one past it, and the order in which they are checked."""

from dataclasses import replace

import pytest

from contexts.orders.domain.commands import (
    AddOrderLine,
    ChangeOrderLineQuantity,
    OrderCommand,
    PlaceOrder,
    RecordPayment,
    RefundPayment,
    RemoveOrderLine,
)
from contexts.orders.domain.order import (
    AMOUNT_MAX,
    LINES_MAX,
    PAYMENTS_MAX,
    REFUNDS_MAX,
    decide,
)
from contexts.orders.events import (
    Money,
    OrderEvent,
    OrderLine,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    OrderPaid,
    OrderPlaced,
    PaymentReceived,
    PaymentRefunded,
)
from tests.orders.examples import (
    APPLES,
    CANCELLED,
    CANCELLED_ORDER,
    DELIVERED_ORDER,
    ORDER_ID,
    PAID_ORDER,
    PARTLY_PAID_ORDER,
    PLACED_ORDER,
    REFUNDED_ORDER,
    dollar,
    euro,
    line,
)
from tests.support.given import given


def placed(*lines: OrderLine) -> OrderPlaced:
    return OrderPlaced(customer_id="customer-1", currency_code="EUR", lines=lines)


def add(new_line: OrderLine) -> AddOrderLine:
    return AddOrderLine(order_id=ORDER_ID, line=new_line)


def remove(product_id: str) -> RemoveOrderLine:
    return RemoveOrderLine(order_id=ORDER_ID, product_id=product_id)


def change(product_id: str, quantity: int) -> ChangeOrderLineQuantity:
    return ChangeOrderLineQuantity(
        order_id=ORDER_ID, product_id=product_id, quantity=quantity
    )


def pay(payment_id: str, amount: Money) -> RecordPayment:
    return RecordPayment(order_id=ORDER_ID, payment_id=payment_id, amount=amount)


def refund(payment_id: str, refund_id: str, amount: Money) -> RefundPayment:
    return RefundPayment(
        order_id=ORDER_ID, payment_id=payment_id, refund_id=refund_id, amount=amount
    )


def received(payment_id: str, amount: int) -> PaymentReceived:
    return PaymentReceived(payment_id=payment_id, amount=euro(amount))


def test_the_limits_are_those_of_the_contract() -> None:
    assert (LINES_MAX, PAYMENTS_MAX, REFUNDS_MAX) == (200, 1000, 1000)
    assert AMOUNT_MAX == 9_223_372_036_854_775_807


def test_an_order_takes_its_two_hundredth_line_and_not_one_more() -> None:
    lines = [line(f"product-{number}") for number in range(LINES_MAX)]
    *first, last = lines
    given(placed(*first)).when(decide, add(last)).then(OrderLineAdded(line=last))
    given(placed(*lines)).when(decide, add(line("cheese"))).then_refused(
        "TOO_MANY_LINES", limit="200"
    )


def test_a_product_has_one_line() -> None:
    given(*PLACED_ORDER).when(decide, add(line("apples", 9))).then_refused(
        "PRODUCT_ALREADY_IN_ORDER", product_id="apples"
    )


def test_a_product_that_was_removed_can_be_added_again() -> None:
    past = (*PLACED_ORDER, OrderLineRemoved(product_id="apples"))
    given(*past).when(decide, add(APPLES)).then(OrderLineAdded(line=APPLES))


def test_a_line_that_was_added_can_be_removed() -> None:
    past = (*PLACED_ORDER, OrderLineAdded(line=line("cheese")))
    given(*past).when(decide, remove("cheese")).then(
        OrderLineRemoved(product_id="cheese")
    )


def test_the_last_line_stays() -> None:
    given(placed(APPLES)).when(decide, remove("apples")).then_refused(
        "LAST_LINE", product_id="apples"
    )


@pytest.mark.parametrize("command", [remove("cheese"), change("cheese", 1)])
def test_a_line_that_is_not_there_can_neither_go_nor_change(
    command: OrderCommand,
) -> None:
    given(*PLACED_ORDER).when(decide, command).then_refused(
        "LINE_NOT_FOUND", product_id="cheese"
    )


def test_a_quantity_can_go_back_to_what_it_was() -> None:
    past = (
        *PLACED_ORDER,
        OrderLineQuantityChanged(product_id="apples", old_quantity=2, new_quantity=3),
    )
    given(*past).when(decide, change("apples", 2)).then(
        OrderLineQuantityChanged(product_id="apples", old_quantity=3, new_quantity=2)
    )


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (PLACED_ORDER, add(line("cheese", 1, dollar(1)))),
        (PLACED_ORDER, pay("payment-9", dollar(1))),
        (DELIVERED_ORDER, refund("payment-1", "refund-9", dollar(1))),
    ],
)
def test_an_order_has_one_currency(
    past: tuple[OrderEvent, ...], command: OrderCommand
) -> None:
    given(*past).when(decide, command).then_refused(
        "CURRENCY_MISMATCH", currency_code="EUR", given_currency_code="USD"
    )


def place(*lines: OrderLine) -> PlaceOrder:
    return PlaceOrder(order_id=ORDER_ID, customer_id="customer-1", lines=lines)


def test_an_order_may_cost_all_that_an_int64_holds_and_not_one_more() -> None:
    dear = line("diamond", 1, euro(AMOUNT_MAX - 1))
    given().when(decide, place(dear, line("dust"))).then(placed(dear, line("dust")))
    given().when(decide, place(dear, line("dust", 2))).then_refused(
        "AMOUNT_TOO_LARGE", total=str(AMOUNT_MAX + 1), limit=str(AMOUNT_MAX)
    )
    given(placed(dear)).when(decide, add(line("dust"))).then(
        OrderLineAdded(line=line("dust"))
    )
    given(placed(dear)).when(decide, add(line("dust", 2))).then_refused(
        "AMOUNT_TOO_LARGE"
    )
    given(placed(dear)).when(decide, change("diamond", 2)).then_refused(
        "AMOUNT_TOO_LARGE", total=str(2 * AMOUNT_MAX - 2)
    )


def test_a_quantity_may_raise_the_total_to_the_limit() -> None:
    past = placed(line("diamond", 1, euro(AMOUNT_MAX - 5)), line("dust", 1))
    given(past).when(decide, change("dust", 5)).then(
        OrderLineQuantityChanged(product_id="dust", old_quantity=1, new_quantity=5)
    )
    given(past).when(decide, change("dust", 6)).then_refused("AMOUNT_TOO_LARGE")


def test_a_payment_may_be_what_is_due_and_not_one_more() -> None:
    given(*PARTLY_PAID_ORDER).when(decide, pay("payment-9", euro(998))).then(
        received("payment-9", 998)
    )
    given(*PARTLY_PAID_ORDER).when(decide, pay("payment-9", euro(999))).then(
        received("payment-9", 999), OrderPaid(amount_paid=euro(1999))
    )
    given(*PARTLY_PAID_ORDER).when(decide, pay("payment-9", euro(1000))).then_refused(
        "OVERPAYMENT", amount="1000", due="999"
    )


def test_the_whole_of_an_int64_can_be_paid_at_once() -> None:
    everything = euro(AMOUNT_MAX)
    given(placed(line("diamond", 1, everything))).when(
        decide, pay("payment-1", everything)
    ).then(
        PaymentReceived(payment_id="payment-1", amount=everything),
        OrderPaid(amount_paid=everything),
    )


def test_a_payment_id_stands_for_one_amount() -> None:
    given(*PARTLY_PAID_ORDER).when(decide, pay("payment-1", euro(999))).then_refused(
        "PAYMENT_ID_REUSED", payment_id="payment-1", recorded_amount="1000"
    )


def test_an_order_takes_its_thousandth_payment_and_not_one_more() -> None:
    order = placed(line("sand", 2 * PAYMENTS_MAX))
    payments = [received(f"payment-{number}", 1) for number in range(PAYMENTS_MAX)]
    given(order, *payments[:-1]).when(decide, pay("one-more", euro(1))).then(
        received("one-more", 1)
    )
    given(order, *payments).when(decide, pay("one-more", euro(1))).then_refused(
        "TOO_MANY_PAYMENTS", limit="1000"
    )
    given(order, *payments).when(decide, pay("payment-500", euro(1))).then_nothing()


def refunded(payment_id: str, refund_id: str, amount: int) -> PaymentRefunded:
    return PaymentRefunded(
        payment_id=payment_id, refund_id=refund_id, amount=euro(amount)
    )


def test_a_refund_may_be_what_is_left_of_its_payment_and_not_one_more() -> None:
    given(*REFUNDED_ORDER).when(
        decide, refund("payment-1", "refund-9", euro(600))
    ).then(refunded("payment-1", "refund-9", 600))
    given(*REFUNDED_ORDER).when(
        decide, refund("payment-1", "refund-9", euro(601))
    ).then_refused("REFUND_EXCEEDS_PAYMENT", amount="601", refundable="600")


def test_refunds_of_one_payment_add_up() -> None:
    past = (*REFUNDED_ORDER, refunded("payment-1", "refund-2", 599))
    given(*past).when(decide, refund("payment-1", "refund-3", euro(1))).then(
        refunded("payment-1", "refund-3", 1)
    )
    given(*past).when(decide, refund("payment-1", "refund-3", euro(2))).then_refused(
        "REFUND_EXCEEDS_PAYMENT", amount="2", refundable="1"
    )


def test_refunds_of_one_payment_leave_the_others_alone() -> None:
    given(*REFUNDED_ORDER).when(
        decide, refund("payment-2", "refund-9", euro(999))
    ).then(refunded("payment-2", "refund-9", 999))


def test_only_payments_that_were_made_can_be_refunded() -> None:
    given(*CANCELLED_ORDER).when(
        decide, refund("payment-2", "refund-9", euro(1))
    ).then_refused("PAYMENT_NOT_FOUND", payment_id="payment-2")


@pytest.mark.parametrize(
    ("payment_id", "amount"),
    [("payment-1", euro(399)), ("payment-2", euro(400)), ("payment-1", dollar(400))],
)
def test_a_refund_id_stands_for_one_payment_and_one_amount(
    payment_id: str, amount: Money
) -> None:
    given(*REFUNDED_ORDER).when(
        decide, refund(payment_id, "refund-1", amount)
    ).then_refused("REFUND_ID_REUSED", payment_id="payment-1", recorded_amount="400")


def test_an_order_takes_its_thousandth_refund_and_not_one_more() -> None:
    past = (
        placed(line("sand", 2 * REFUNDS_MAX)),
        received("payment-1", REFUNDS_MAX + 1),
        replace(CANCELLED, refund_due=euro(REFUNDS_MAX + 1)),
    )
    refunds = [
        refunded("payment-1", f"refund-{number}", 1) for number in range(REFUNDS_MAX)
    ]
    given(*past, *refunds[:-1]).when(
        decide, refund("payment-1", "one-more", euro(1))
    ).then(refunded("payment-1", "one-more", 1))
    given(*past, *refunds).when(
        decide, refund("payment-1", "one-more", euro(1))
    ).then_refused("TOO_MANY_REFUNDS", limit="1000")
    given(*past, *refunds).when(
        decide, refund("payment-1", "refund-500", euro(1))
    ).then_nothing()


@pytest.mark.parametrize(
    ("past", "command", "refused"),
    [
        # The state comes before every rule.
        (PAID_ORDER, add(APPLES), "INVALID_ORDER_STATE"),
        (PAID_ORDER, remove("cheese"), "INVALID_ORDER_STATE"),
        (PAID_ORDER, change("cheese", 1), "INVALID_ORDER_STATE"),
        (PAID_ORDER, pay("payment-1", dollar(1)), "INVALID_ORDER_STATE"),
        (PAID_ORDER, refund("payment-9", "refund-9", dollar(1)), "INVALID_ORDER_STATE"),
        # That payment has started is the first rule of the lines.
        (PARTLY_PAID_ORDER, add(APPLES), "PAYMENT_STARTED"),
        (PARTLY_PAID_ORDER, remove("cheese"), "PAYMENT_STARTED"),
        (PARTLY_PAID_ORDER, change("cheese", 1), "PAYMENT_STARTED"),
        # The rest, in the order of the contract.
        (
            PLACED_ORDER,
            add(replace(APPLES, unit_price=dollar(1))),
            "PRODUCT_ALREADY_IN_ORDER",
        ),
        (PLACED_ORDER, add(line("gold", 2, dollar(AMOUNT_MAX))), "CURRENCY_MISMATCH"),
        ((placed(APPLES),), remove("cheese"), "LINE_NOT_FOUND"),
        (PARTLY_PAID_ORDER, pay("payment-1", dollar(5000)), "PAYMENT_ID_REUSED"),
        (PARTLY_PAID_ORDER, pay("payment-9", dollar(5000)), "CURRENCY_MISMATCH"),
        (
            REFUNDED_ORDER,
            refund("payment-9", "refund-1", dollar(5000)),
            "REFUND_ID_REUSED",
        ),
        (
            REFUNDED_ORDER,
            refund("payment-9", "refund-9", dollar(5000)),
            "PAYMENT_NOT_FOUND",
        ),
        (
            REFUNDED_ORDER,
            refund("payment-1", "refund-9", dollar(5000)),
            "CURRENCY_MISMATCH",
        ),
    ],
)
def test_of_several_reasons_to_refuse_the_first_of_the_contract_is_given(
    past: tuple[OrderEvent, ...], command: OrderCommand, refused: str
) -> None:
    given(*past).when(decide, command).then_refused(refused)


def test_counts_are_checked_before_amounts() -> None:
    lines = [line(f"product-{number}") for number in range(LINES_MAX)]
    given(placed(*lines)).when(
        decide, add(line("gold", 1, euro(AMOUNT_MAX)))
    ).then_refused("TOO_MANY_LINES")
    payments = [received(f"payment-{number}", 1) for number in range(PAYMENTS_MAX)]
    order = placed(line("sand", 2 * PAYMENTS_MAX))
    given(order, *payments).when(
        decide, pay("one-more", euro(2 * PAYMENTS_MAX))
    ).then_refused("TOO_MANY_PAYMENTS")
