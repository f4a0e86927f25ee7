"""Calls that change orders."""

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, TypeVar, Unpack

from orderes.client.command_stream import CommandStream, CommandStreamAnswer
from orderes.client.envelopes import (
    CommandRequest,
    command_options,
    envelope_of,
    new_command_id,
    request_in,
)
from orderes.client.errors import OrderesError
from orderes.client.options import (
    BatchDelivery,
    CallOptions,
    Delivery,
    StreamDelivery,
    check_names,
)
from orderes.client.positions import Position
from orderes.client.results import passing_error_of
from orderes.client.retrying import GIVE_UP_SECONDS
from orderes.client.session import Session
from orderes.client.values import duration_of
from orderes.type.v1.money_pb2 import Money
from orderes.v1.command_pb2 import Command
from orderes.v1.command_service_pb2 import (
    AddOrderLineRequest,
    AddOrderLineResponse,
    CancelOrderRequest,
    CancelOrderResponse,
    ChangeOrderLineQuantityRequest,
    ChangeOrderLineQuantityResponse,
    CommandEnvelope,
    DeliverOrderRequest,
    DeliverOrderResponse,
    GetCommandRequest,
    GetCommandResponse,
    PlaceOrderRequest,
    PlaceOrderResponse,
    RecordPaymentRequest,
    RecordPaymentResponse,
    RefundPaymentRequest,
    RefundPaymentResponse,
    RemoveOrderLineRequest,
    RemoveOrderLineResponse,
    ShipOrderRequest,
    ShipOrderResponse,
    SubmitCommandsRequest,
    SubmitCommandsResponse,
    WaitCommandRequest,
    WaitCommandResponse,
)
from orderes.v1.order_pb2 import CANCEL_REASON_OTHER, CancelReason, OrderLine

if TYPE_CHECKING:  # The library has no such names: they are for type checkers.
    from collections.abc import AsyncGenerator

    from grpc.aio import UnaryUnaryMultiCallable

RequestT = TypeVar("RequestT", bound=CommandRequest)
ReceiptT = TypeVar(
    "ReceiptT",
    bound=PlaceOrderResponse
    | AddOrderLineResponse
    | RemoveOrderLineResponse
    | ChangeOrderLineQuantityResponse
    | RecordPaymentResponse
    | ShipOrderResponse
    | DeliverOrderResponse
    | CancelOrderResponse
    | RefundPaymentResponse,
)


class CommandCalls:
    """The CommandService, a method for each of its calls.

    A command is repeated, with its command_id, until it is answered or its deadline is over. Each
    method raises an `OrderesError`: a refusal, or what kept the last attempt from an answer; its
    `outcome` says which.
    """

    _session: Session

    async def place_order(
        self,
        *,
        customer_id: str,
        lines: Iterable[OrderLine],
        order_id: str = "",
        **delivery: Unpack[Delivery],
    ) -> PlaceOrderResponse:
        """Places an order. The server makes the order_id if there is none."""
        request = PlaceOrderRequest(
            order_id=order_id, customer_id=customer_id, lines=lines
        )
        return await self._send(self._session.commands.PlaceOrder, request, delivery)

    async def add_order_line(
        self, *, order_id: str, line: OrderLine, **delivery: Unpack[Delivery]
    ) -> AddOrderLineResponse:
        """Adds a product."""
        request = AddOrderLineRequest(order_id=order_id, line=line)
        return await self._send(self._session.commands.AddOrderLine, request, delivery)

    async def remove_order_line(
        self, *, order_id: str, product_id: str, **delivery: Unpack[Delivery]
    ) -> RemoveOrderLineResponse:
        """Removes a product, never the last one."""
        request = RemoveOrderLineRequest(order_id=order_id, product_id=product_id)
        method = self._session.commands.RemoveOrderLine
        return await self._send(method, request, delivery)

    async def change_order_line_quantity(
        self,
        *,
        order_id: str,
        product_id: str,
        quantity: int,
        **delivery: Unpack[Delivery],
    ) -> ChangeOrderLineQuantityResponse:
        """Sets the quantity of a product."""
        request = ChangeOrderLineQuantityRequest(
            order_id=order_id, product_id=product_id, quantity=quantity
        )
        method = self._session.commands.ChangeOrderLineQuantity
        return await self._send(method, request, delivery)

    async def record_payment(
        self,
        *,
        order_id: str,
        payment_id: str,
        amount: Money,
        **delivery: Unpack[Delivery],
    ) -> RecordPaymentResponse:
        """Records money received."""
        request = RecordPaymentRequest(
            order_id=order_id, payment_id=payment_id, amount=amount
        )
        return await self._send(self._session.commands.RecordPayment, request, delivery)

    async def ship_order(
        self,
        *,
        order_id: str,
        carrier: str,
        tracking_number: str,
        **delivery: Unpack[Delivery],
    ) -> ShipOrderResponse:
        """Hands the order to a carrier."""
        request = ShipOrderRequest(
            order_id=order_id, carrier=carrier, tracking_number=tracking_number
        )
        return await self._send(self._session.commands.ShipOrder, request, delivery)

    async def deliver_order(
        self, *, order_id: str, **delivery: Unpack[Delivery]
    ) -> DeliverOrderResponse:
        """Notes its delivery."""
        request = DeliverOrderRequest(order_id=order_id)
        return await self._send(self._session.commands.DeliverOrder, request, delivery)

    async def cancel_order(
        self,
        *,
        order_id: str,
        reason: str,
        reason_code: CancelReason.ValueType = CANCEL_REASON_OTHER,
        **delivery: Unpack[Delivery],
    ) -> CancelOrderResponse:
        """Cancels the order."""
        request = CancelOrderRequest(
            order_id=order_id, reason=reason, reason_code=reason_code
        )
        return await self._send(self._session.commands.CancelOrder, request, delivery)

    async def refund_payment(
        self,
        *,
        order_id: str,
        payment_id: str,
        refund_id: str,
        amount: Money,
        **delivery: Unpack[Delivery],
    ) -> RefundPaymentResponse:
        """Pays back up to what is left of a payment."""
        request = RefundPaymentRequest(
            order_id=order_id, payment_id=payment_id, refund_id=refund_id, amount=amount
        )
        return await self._send(self._session.commands.RefundPayment, request, delivery)

    async def submit_commands(
        self,
        commands: Iterable[CommandRequest | CommandEnvelope],
        **delivery: Unpack[BatchDelivery],
    ) -> SubmitCommandsResponse:
        """Sends up to 100 commands at once: they are admitted all or none, and each then succeeds
        or fails by itself. `error_of` makes an error of a result that failed.

        Args:
            commands: What to do. Those without a command_id get one.
            delivery: How.
        """
        check_names(delivery, BatchDelivery)
        request = SubmitCommandsRequest(
            commands=map(envelope_of, commands), options=command_options(delivery)
        )
        repeating = self._session.repeating(
            delivery, wait_seconds=delivery.get("max_wait_seconds")
        )
        while True:
            response = await self._session.call(
                self._session.commands.SubmitCommands,
                request,
                delivery,
                repeating=repeating,
                command_ids=[request_in(each).command_id for each in request.commands],
            )
            for result in response.results:
                self._note(result.command)
            passing = filter(None, map(passing_error_of, response.results))
            if (error := next(passing, None)) is None:
                return response
            try:
                await repeating.wait_after(error)
            except OrderesError:
                return response  # It says of each command how it went.

    def stream_commands(
        self,
        commands: AsyncIterable[CommandRequest | CommandEnvelope]
        | Iterable[CommandRequest | CommandEnvelope],
        *,
        give_up_seconds: float | None = GIVE_UP_SECONDS,
        **delivery: Unpack[StreamDelivery],
    ) -> "AsyncGenerator[CommandStreamAnswer, None]":
        """Sends commands without a bound, and yields their answers as they come.

        The commands are taken only as fast as the server executes them. When the connection breaks,
        what is not answered is sent again, in its order; so each command is answered once, and
        takes effect once.

        Args:
            commands: What to do. Those without a command_id get one.
            give_up_seconds: How long to go on trying to come back without an answer to any command;
                None: for ever.
            delivery: How. The options of a command itself go before.

        Raises:
            OrderesError: the stream broke and cannot come back. `command_ids` names the commands
                that were sent and not answered.
        """
        check_names(delivery, StreamDelivery)
        return CommandStream(
            self._session,
            options=command_options(delivery),
            metadata=self._session.metadata(delivery),
            patience=self._session.patience(give_up_seconds),
        ).answers(commands)

    async def get_command(
        self, *, command_id: str, **options: Unpack[CallOptions]
    ) -> GetCommandResponse:
        """A command's record. `error_of` makes an error of one that was refused or failed."""
        check_names(options, CallOptions)
        response = await self._session.call(
            self._session.commands.GetCommand,
            GetCommandRequest(command_id=command_id),
            options,
            repeating=self._session.repeating(options),
            command_ids=[command_id],
        )
        self._note(response.command)
        return response

    async def wait_command(
        self,
        *,
        command_id: str,
        max_wait_seconds: float | None = None,
        **options: Unpack[CallOptions],
    ) -> WaitCommandResponse:
        """Waits until a command is executed, or failed, or the wait is over, and gives its record
        as it is then: look at its stage. `error_of` makes an error of one that was refused or
        failed.

        Args:
            command_id: Which.
            max_wait_seconds: None: 10. At most 30.
            options: What every call takes.
        """
        check_names(options, CallOptions)
        request = WaitCommandRequest(command_id=command_id)
        if max_wait_seconds is not None:
            request.max_wait.CopyFrom(duration_of("max_wait_seconds", max_wait_seconds))
        response = await self._session.call(
            self._session.commands.WaitCommand,
            request,
            options,
            repeating=self._session.repeating(options, wait_seconds=max_wait_seconds),
            command_ids=[command_id],
        )
        self._note(response.command)
        return response

    async def _send(
        self,
        method: "UnaryUnaryMultiCallable[RequestT, ReceiptT]",
        request: RequestT,
        delivery: Delivery,
    ) -> ReceiptT:
        check_names(delivery, Delivery)
        request.command_id = delivery.get("command_id") or new_command_id()
        if (version := delivery.get("expected_version")) is not None:
            request.expected_version = version
        request.options.CopyFrom(command_options(delivery))
        response = await self._session.call(
            method,
            request,
            delivery,
            repeating=self._session.repeating(
                delivery, wait_seconds=delivery.get("max_wait_seconds")
            ),
            command_ids=[request.command_id],
        )
        self._note(response.command)
        return response

    def _note(self, command: Command) -> None:
        self._session.seen.note(Position.of(command))
