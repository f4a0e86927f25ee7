"""Chapters one to three: an order's life, what is refused, and what a retry does."""

import grpc

from cli.demo.house import CALL_SECONDS_MAX, Commands, House
from cli.demo.orders import COMMITTED, euro, new_id, outcome, place_order
from cli.demo.telling import Telling
from cli.output import payment_text, state_text
from cli.parameters import money_text
from orderes.client.failure import Failure, failure_of
from orderes.v1.command_pb2 import Command
from orderes.v1.command_service_pb2 import (
    CancelOrderRequest,
    PlaceOrderRequest,
    RecordPaymentRequest,
    ShipOrderRequest,
)
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.order_pb2 import OrderState, PaymentState
from orderes.v1.query_service_pb2 import GetOrderRequest, ListOrderEventsRequest


async def tell_life(house: House, telling: Telling) -> None:
    """Places, pays, reads and ships an order, cancels in vain, and retries."""
    commands = await house.commands()
    request = place_order("c-1")
    telling.chapter("An order is placed, paid, and read back")
    telling.say(
        "A command goes to the write server. It answers when the event is on disk, and "
        "names its position in the log."
    )
    placed = await _place(commands, request, telling)
    paid = await _pay(commands, placed.order_id, telling)
    await _read_back(house, paid, telling)
    await _ship(commands, placed.order_id, telling)
    await _history(house, placed.order_id, telling)

    telling.chapter("What the rules forbid is refused")
    telling.say("A parcel that is on its way cannot be cancelled any more.")
    await _cancel_in_vain(commands, placed.order_id, telling)

    telling.chapter("A retry takes effect once")
    telling.say(
        "Was the first answer lost on the way? The client asks again with the same "
        "command_id, as often as it likes, and gets the answer of then: the order has "
        "moved on since, the receipt has not."
    )
    await _repeat(commands, request, placed, telling)


async def _place(
    commands: Commands, request: PlaceOrderRequest, telling: Telling
) -> Command:
    telling.sent(f"PlaceOrder c-1, 2 books at 19.99 EUR, {_id(request.command_id)}")
    answer = await commands.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
    _came(answer.command, telling)
    telling.claim(
        "the order has its first event",
        holds=answer.command.order_version == 1 and answer.command.event_count == 1,
    )
    return answer.command


async def _pay(commands: Commands, order_id: str, telling: Telling) -> Command:
    request = RecordPaymentRequest(
        order_id=order_id,
        command_id=new_id(),
        options=COMMITTED,
        payment_id="p-1",
        amount=euro(3998),
    )
    telling.sent(f"RecordPayment {money_text(request.amount)}")
    answer = await commands.RecordPayment(request, timeout=CALL_SECONDS_MAX)
    _came(answer.command, telling)
    telling.claim(
        "one command, two events: PaymentReceived and, as nothing is due, OrderPaid",
        holds=answer.command.event_count == 2,  # noqa: PLR2004
    )
    return answer.command


async def _read_back(house: House, paid: Command, telling: Telling) -> None:
    telling.go_on(
        "Reading is another server's work, from tables that follow the log. With the "
        "position of the receipt it waits until they are there: one reads one's own "
        "write."
    )
    queries = await house.queries()
    request = GetOrderRequest(
        order_id=paid.order_id, consistency=Consistency(min_position=paid.position)
    )
    telling.sent(f"GetOrder with min_position {paid.position}")
    answer = await queries.GetOrder(request, timeout=CALL_SECONDS_MAX)
    order = answer.order
    telling.came(
        f"{state_text(order)}, payment {payment_text(order)}, "
        f"{money_text(order.amount_paid)} of {money_text(order.total)}, "
        f"read at position {answer.read_info.position}"
    )
    telling.claim(
        "the payment of a moment ago is in the answer",
        holds=order.state == OrderState.ORDER_STATE_PAID
        and order.payment_state == PaymentState.PAYMENT_STATE_PAID
        and answer.read_info.position >= paid.position,
    )


async def _ship(commands: Commands, order_id: str, telling: Telling) -> None:
    request = ShipOrderRequest(
        order_id=order_id,
        command_id=new_id(),
        options=COMMITTED,
        carrier="dhl",
        tracking_number="JD0146",
    )
    telling.sent("ShipOrder with dhl, JD0146")
    answer = await commands.ShipOrder(request, timeout=CALL_SECONDS_MAX)
    _came(answer.command, telling)
    telling.claim(
        "the order is shipped",
        holds=answer.order.state == OrderState.ORDER_STATE_SHIPPED,
    )


async def _history(house: House, order_id: str, telling: Telling) -> None:
    queries = await house.queries()
    request = ListOrderEventsRequest(
        order_id=order_id, consistency=Consistency(min_position=4)
    )
    telling.sent("ListOrderEvents")
    answer = await queries.ListOrderEvents(request, timeout=CALL_SECONDS_MAX)
    types = [event.type for event in answer.events]
    telling.came(", ".join(types))
    telling.claim(
        "its history tells all of it, in order",
        holds=types == ["OrderPlaced", "PaymentReceived", "OrderPaid", "OrderShipped"],
    )


async def _cancel_in_vain(commands: Commands, order_id: str, telling: Telling) -> None:
    request = CancelOrderRequest(
        order_id=order_id,
        command_id=new_id(),
        options=COMMITTED,
        reason="changed my mind",
    )
    telling.sent("CancelOrder")
    failure = await _refusal(commands, request)
    if failure is not None:
        telling.refused(failure)
    telling.claim(
        "it is refused by rule INVALID_ORDER_STATE, which names the states that allow "
        "it",
        holds=failure is not None
        and failure.reason == "RULE_VIOLATED"
        and failure.rule == "INVALID_ORDER_STATE"
        and failure.facts.get("allowed_states") == "PLACED,PAID",
    )
    again = await _refusal(commands, request)
    telling.claim(
        "the refusal is stored: the same command_id gets the same one again",
        holds=failure is not None
        and again is not None
        and (again.code, again.message) == (failure.code, failure.message),
    )


async def _refusal(commands: Commands, request: CancelOrderRequest) -> Failure | None:
    try:
        await commands.CancelOrder(request, timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    return None


async def _repeat(
    commands: Commands,
    request: PlaceOrderRequest,
    placed: Command,
    telling: Telling,
) -> None:
    telling.sent(f"PlaceOrder again, {_id(request.command_id)}")
    answer = await commands.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
    _came(answer.command, telling)
    telling.claim(
        "it is deduplicated, and the receipt is the same to the last field",
        holds=answer.command.deduplicated
        and outcome(answer.command) == outcome(placed),
    )


def _came(command: Command, telling: Telling) -> None:
    repeat = ", deduplicated" if command.deduplicated else ""
    telling.came(
        f"COMMITTED, version {command.order_version}, position {command.position}, "
        f"order {command.order_id}{repeat}"
    )


def _id(command_id: str) -> str:
    return f"command_id {command_id}"
