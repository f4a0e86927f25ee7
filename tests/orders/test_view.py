"""The order that clients see."""

import pytest

from contexts.orders.events import (
    CancelReason,
    OrderEvent,
    OrderLineAdded,
    OrderLineQuantityChanged,
    OrderLineRemoved,
    PaymentRefunded,
)
from contexts.orders.view import (
    OrderState,
    OrderView,
    PaymentState,
    PaymentView,
    ShipmentView,
    evolve_view,
    fold_view,
)
from eventcore.errors import CorruptLog
from orderes.v1 import order_pb2
from tests.orders.examples import (
    APPLES,
    BREAD,
    CANCELLED,
    CANCELLED_ORDER,
    DELIVERED_ORDER,
    FIRST_PAYMENT,
    ORDER_ID,
    PAID_ORDER,
    PARTLY_PAID_ORDER,
    PLACED,
    PLACED_ORDER,
    REFUND,
    REFUNDED_ORDER,
    SHIPPED,
    SHIPPED_ORDER,
    euro,
    line,
)


def seen(*events: OrderEvent) -> OrderView:
    """The events at the positions 10, 20, … and at the times 1000, 2000, …"""
    history = (
        (event, 10 * number, 1000 * number) for number, event in enumerate(events, 1)
    )
    view = fold_view(ORDER_ID, history)
    assert view is not None
    return view


def test_a_placed_order_shows_what_was_ordered() -> None:
    assert seen(PLACED) == OrderView(
        order_id=ORDER_ID,
        customer_id="customer-1",
        state=OrderState.PLACED,
        currency_code="EUR",
        lines=(APPLES, BREAD),
        total=euro(1999),
        amount_paid=euro(0),
        amount_refunded=euro(0),
        version=1,
        position=10,
        place_time=1000,
        update_time=1000,
    )


def test_a_whole_life_is_in_the_view() -> None:
    assert seen(*REFUNDED_ORDER) == OrderView(
        order_id=ORDER_ID,
        customer_id="customer-1",
        state=OrderState.DELIVERED,
        currency_code="EUR",
        lines=(APPLES, BREAD),
        total=euro(1999),
        amount_paid=euro(1999),
        amount_refunded=euro(400),
        payments=(
            PaymentView(
                payment_id="payment-1",
                amount=euro(1000),
                refunded=euro(400),
                record_time=2000,
            ),
            PaymentView(
                payment_id="payment-2",
                amount=euro(999),
                refunded=euro(0),
                record_time=3000,
            ),
        ),
        shipment=ShipmentView(
            carrier="post", tracking_number="T-1", ship_time=5000, deliver_time=6000
        ),
        version=7,
        position=70,
        place_time=1000,
        update_time=7000,
    )


def test_a_cancelled_order_shows_why() -> None:
    view = seen(*CANCELLED_ORDER)
    assert (view.state, view.cancel_reason, view.cancel_reason_code) == (
        OrderState.CANCELLED,
        "changed my mind",
        CancelReason.CUSTOMER_REQUEST,
    )


def test_an_order_that_is_not_cancelled_has_no_reason() -> None:
    view = seen(*SHIPPED_ORDER)
    assert (view.cancel_reason, view.cancel_reason_code) == ("", None)


def test_lines_keep_the_order_in_which_they_were_added() -> None:
    cheese, dates = line("cheese", 3, euro(100)), line("dates", 1, euro(50))
    view = seen(
        PLACED,
        OrderLineAdded(line=cheese),
        OrderLineAdded(line=dates),
        OrderLineRemoved(product_id="bread"),
        OrderLineQuantityChanged(product_id="cheese", old_quantity=3, new_quantity=4),
    )
    assert view.lines == (APPLES, line("cheese", 4, euro(100)), dates)
    assert view.total == euro(1000 + 400 + 50)


@pytest.mark.parametrize(
    ("events", "payment_state"),
    [
        (PLACED_ORDER, PaymentState.UNPAID),
        ((PLACED, CANCELLED), PaymentState.UNPAID),
        (PARTLY_PAID_ORDER, PaymentState.PARTIALLY_PAID),
        (CANCELLED_ORDER, PaymentState.PARTIALLY_PAID),
        (PAID_ORDER, PaymentState.PAID),
        (SHIPPED_ORDER, PaymentState.PAID),
        (DELIVERED_ORDER, PaymentState.PAID),
        (REFUNDED_ORDER, PaymentState.PARTIALLY_REFUNDED),
        ((*CANCELLED_ORDER, REFUND), PaymentState.PARTIALLY_REFUNDED),
        ((*CANCELLED_ORDER, REFUND, REFUND), PaymentState.PARTIALLY_REFUNDED),
    ],
)
def test_the_payment_state_says_how_much_of_the_money_has_moved(
    events: tuple[OrderEvent, ...], payment_state: PaymentState
) -> None:
    assert seen(*events).payment_state is payment_state


def test_an_order_is_refunded_when_all_that_was_paid_is_back() -> None:
    half = PLACED, FIRST_PAYMENT, CANCELLED
    rest = PaymentRefunded(
        payment_id="payment-1", refund_id="refund-2", amount=euro(600)
    )
    assert seen(*half, REFUND, rest).payment_state is PaymentState.REFUNDED


def test_a_refund_is_shown_with_the_payment_that_it_pays_back() -> None:
    second = PaymentRefunded(
        payment_id="payment-2", refund_id="refund-2", amount=euro(99)
    )
    third = PaymentRefunded(
        payment_id="payment-1", refund_id="refund-3", amount=euro(1)
    )
    view = seen(*REFUNDED_ORDER, second, third)
    assert [payment.refunded for payment in view.payments] == [euro(401), euro(99)]
    assert view.amount_refunded == euro(500)


def test_folding_can_go_on_from_a_view() -> None:
    before = seen(*PAID_ORDER)
    after = evolve_view(before, ORDER_ID, SHIPPED, position=50, record_time=5000)
    assert after == seen(*SHIPPED_ORDER)
    assert fold_view(ORDER_ID, [(SHIPPED, 50, 5000)], before) == after
    assert fold_view(ORDER_ID, []) is None


def test_a_log_that_contradicts_itself_is_not_shown() -> None:
    with pytest.raises(CorruptLog):
        seen(PLACED, PLACED)
    with pytest.raises(CorruptLog):
        seen(SHIPPED)


def test_the_view_has_the_fields_of_the_contract_and_no_others() -> None:
    fields = {*OrderView.__dataclass_fields__, "payment_state"}
    assert fields == set(order_pb2.Order.DESCRIPTOR.fields_by_name)
    assert set(PaymentView.__dataclass_fields__) == set(
        order_pb2.Payment.DESCRIPTOR.fields_by_name
    )
    assert set(ShipmentView.__dataclass_fields__) == set(
        order_pb2.Shipment.DESCRIPTOR.fields_by_name
    )
