"""The client for services in Python: typed calls, deadlines, retries, reading one's own writes.

Everything is a method of `Client`. It takes plain values, aware times among them, and messages of
the contract where a value has parts; it answers with messages of the contract, whose money is in
whole minor units. `time_of` makes an aware time of one in them. A program for `orderes up`:

    import asyncio

    from orderes.client import Client, Position, RuleViolated, VersionMismatch, time_of
    from orderes.type.v1.money_pb2 import Money
    from orderes.v1.order_pb2 import OrderLine


    async def main() -> None:
        price = Money(currency_code="EUR", minor_units=1999)
        book = OrderLine(product_id="book", quantity=2, unit_price=price)
        async with Client("127.0.0.1:50051", "127.0.0.1:50052") as client:
            order = (await client.place_order(customer_id="c-1", lines=[book])).order
            await client.record_payment(
                order_id=order.order_id, payment_id="p-1", amount=order.total
            )

            # A query has what this client has written, though another process answers it.
            paid = (await client.get_order(order_id=order.order_id)).order
            print("due", paid.total.minor_units - paid.amount_paid.minor_units)
            before = await client.get_order(order_id=order.order_id, as_of=1)
            print("paid at first", before.order.amount_paid.minor_units)
            async for listed in client.all_orders(customer_id="c-1", page_size=100):
                print("placed", time_of(listed.place_time).isoformat())

            # Each reason has a class: this one is final, and names the rule.
            try:
                await client.record_payment(
                    order_id=order.order_id, payment_id="p-2", amount=price
                )
            except RuleViolated as refused:
                print("refused", refused.rule)
            try:
                await client.cancel_order(
                    order_id=order.order_id, reason="late", expected_version=1
                )
            except VersionMismatch as mismatch:
                print("is at version", mismatch.actual_version)

            # The past, and then what happens; it outlives broken connections. What is kept of it
            # is `events.position`, to go on from later.
            events = client.watch_orders(
                after=Position(position=0), order_ids=[order.order_id]
            )
            async for event in events:
                print(event.type, "at", event.position)
                if event.type == "OrderPaid":
                    break
            print("go on after", events.position)


    asyncio.run(main())
"""

from orderes.client.client import READ_ADDRESS, WRITE_ADDRESS, Client
from orderes.client.command_stream import CommandStreamAnswer
from orderes.client.envelopes import CommandRequest, new_command_id
from orderes.client.errors import (
    CallReset,
    ClientClosed,
    CommandDiscarded,
    CommandFailed,
    CommandIdReused,
    CommandNotFound,
    CommandQueueFull,
    DeadlineExceeded,
    InternalFault,
    InvalidFields,
    OrderAlreadyExists,
    OrderesError,
    OrderNotFound,
    Outcome,
    ProjectionLagging,
    ProjectionNotFound,
    RuleViolated,
    ShuttingDown,
    StoreMismatch,
    StoreUnavailable,
    TooManyCalls,
    Unavailable,
    Unimplemented,
    VersionMismatch,
    VersionOutOfRange,
    WrongProjectionState,
)
from orderes.client.failure import FieldFault
from orderes.client.positions import Position
from orderes.client.results import error_of
from orderes.client.retrying import RetryPolicy
from orderes.client.values import time_of
from orderes.client.watch import Watch

__all__ = [
    "READ_ADDRESS",
    "WRITE_ADDRESS",
    "CallReset",
    "Client",
    "ClientClosed",
    "CommandDiscarded",
    "CommandFailed",
    "CommandIdReused",
    "CommandNotFound",
    "CommandQueueFull",
    "CommandRequest",
    "CommandStreamAnswer",
    "DeadlineExceeded",
    "FieldFault",
    "InternalFault",
    "InvalidFields",
    "OrderAlreadyExists",
    "OrderNotFound",
    "OrderesError",
    "Outcome",
    "Position",
    "ProjectionLagging",
    "ProjectionNotFound",
    "RetryPolicy",
    "RuleViolated",
    "ShuttingDown",
    "StoreMismatch",
    "StoreUnavailable",
    "TooManyCalls",
    "Unavailable",
    "Unimplemented",
    "VersionMismatch",
    "VersionOutOfRange",
    "Watch",
    "WrongProjectionState",
    "error_of",
    "new_command_id",
    "time_of",
]
