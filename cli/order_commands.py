"""`orderes order place` and its siblings: what changes an order."""

import click

from cli.calls import Sending, sends_command
from cli.parameters import MONEY, ORDER_LINE, QUANTITY_MAX, choices
from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    CancelOrderRequest,
    ChangeOrderLineQuantityRequest,
    DeliverOrderRequest,
    PlaceOrderRequest,
    RecordPaymentRequest,
    RefundPaymentRequest,
    RemoveOrderLineRequest,
    ShipOrderRequest,
)
from orderes.v1.order_pb2 import CancelReason, OrderLine

LINE_HELP = 'A line as product:quantity:price, like "book:2:19.99 EUR".'
CANCEL_REASON_PREFIX = "CANCEL_REASON_"
AMOUNT_HELP = 'How much, like "19.99 EUR".'


@click.command("place")
@click.option("--customer", "customer_id", required=True, help="Who orders.")
@click.option(
    "--line",
    "lines",
    type=ORDER_LINE,
    required=True,
    multiple=True,
    help=f"{LINE_HELP} Repeatable. The product may contain colons.",
)
@click.option("--order-id", default="", help="UUID; the server makes one if absent.")
@sends_command
def place(
    sending: Sending, customer_id: str, lines: tuple[OrderLine, ...], order_id: str
) -> None:
    """Place an order."""
    request = PlaceOrderRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        customer_id=customer_id,
        lines=lines,
    )
    sending.send(
        lambda commands: commands.PlaceOrder,
        request,
        order_id=order_id,
        flags={"order_id": "--order-id"},
    )


@click.command("add-line")
@click.argument("order_id")
@click.option("--line", type=ORDER_LINE, required=True, help=LINE_HELP)
@sends_command
def add_line(sending: Sending, order_id: str, line: OrderLine) -> None:
    """Add a product, while nothing is paid."""
    request = AddOrderLineRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        line=line,
    )
    sending.send(lambda commands: commands.AddOrderLine, request, order_id=order_id)


@click.command("change-quantity")
@click.argument("order_id")
@click.option("--product", "product_id", required=True, help="Which product.")
@click.option(
    "--quantity",
    type=click.IntRange(-QUANTITY_MAX, QUANTITY_MAX),
    required=True,
    metavar="N",
    help="How many pieces.",
)
@sends_command
def change_quantity(
    sending: Sending, order_id: str, product_id: str, quantity: int
) -> None:
    """Set the quantity of a product, while nothing is paid."""
    request = ChangeOrderLineQuantityRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        product_id=product_id,
        quantity=quantity,
    )
    sending.send(
        lambda commands: commands.ChangeOrderLineQuantity, request, order_id=order_id
    )


@click.command("remove-line")
@click.argument("order_id")
@click.option("--product", "product_id", required=True, help="Which product.")
@sends_command
def remove_line(sending: Sending, order_id: str, product_id: str) -> None:
    """Remove a product, while nothing is paid; never the last one."""
    request = RemoveOrderLineRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        product_id=product_id,
    )
    sending.send(lambda commands: commands.RemoveOrderLine, request, order_id=order_id)


@click.command("pay")
@click.argument("order_id")
@click.option(
    "--payment-id",
    required=True,
    help="The payment's own reference: it is recorded once.",
)
@click.option("--amount", type=MONEY, required=True, help=AMOUNT_HELP)
@sends_command
def pay(sending: Sending, order_id: str, payment_id: str, amount: Money) -> None:
    """Record a payment, up to the amount due."""
    request = RecordPaymentRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        payment_id=payment_id,
        amount=amount,
    )
    sending.send(lambda commands: commands.RecordPayment, request, order_id=order_id)


@click.command("ship")
@click.argument("order_id")
@click.option("--carrier", required=True, help="Who carries it.")
@click.option("--tracking-number", required=True, help="How to find it there.")
@sends_command
def ship(sending: Sending, order_id: str, carrier: str, tracking_number: str) -> None:
    """Hand a paid order to a carrier."""
    request = ShipOrderRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        carrier=carrier,
        tracking_number=tracking_number,
    )
    sending.send(lambda commands: commands.ShipOrder, request, order_id=order_id)


@click.command("deliver")
@click.argument("order_id")
@sends_command
def deliver(sending: Sending, order_id: str) -> None:
    """Note that a shipped order arrived."""
    request = DeliverOrderRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
    )
    sending.send(lambda commands: commands.DeliverOrder, request, order_id=order_id)


@click.command("cancel")
@click.argument("order_id")
@click.option("--reason", required=True, help="Why.")
@click.option(
    "--reason-code",
    type=choices(CancelReason.keys(), CANCEL_REASON_PREFIX),
    default="other",
    show_default=True,
    help="Why, as a code.",
)
@sends_command
def cancel(sending: Sending, order_id: str, reason: str, reason_code: str) -> None:
    """Cancel an order that is not shipped yet."""
    request = CancelOrderRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        reason=reason,
        reason_code=CancelReason.Value(CANCEL_REASON_PREFIX + reason_code.upper()),
    )
    sending.send(lambda commands: commands.CancelOrder, request, order_id=order_id)


@click.command("refund")
@click.argument("order_id")
@click.option("--payment-id", required=True, help="Which payment.")
@click.option(
    "--refund-id", required=True, help="The refund's own reference: paid back once."
)
@click.option("--amount", type=MONEY, required=True, help=AMOUNT_HELP)
@sends_command
def refund(
    sending: Sending, order_id: str, payment_id: str, refund_id: str, amount: Money
) -> None:
    """Pay back a part of a payment, or all, of a cancelled or delivered order."""
    request = RefundPaymentRequest(
        order_id=order_id,
        command_id=sending.command_id,
        expected_version=sending.expected_version,
        options=sending.options,
        payment_id=payment_id,
        refund_id=refund_id,
        amount=amount,
    )
    sending.send(lambda commands: commands.RefundPayment, request, order_id=order_id)
