"""The write server over the wire: the record of a command, and where it says it came from."""

import grpc

from tests.orders.requests import FORMS
from tests.support.rpc import failure_of
from tests.support.write_server import running_write_server
from tests.write_server.calls import money, placed, record_of, send

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_unknown_command_is_not_found() -> None:
    async with running_write_server() as running:
        failure = await failure_of(record_of(running, "unknown"))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "COMMAND_NOT_FOUND",
        )
        assert failure.metadata["command_id"] == "unknown"


async def test_asking_for_no_command_is_told_what_is_missing() -> None:
    async with running_write_server() as running:
        failure = await failure_of(record_of(running, ""))
        assert set(failure.violations) == {"command_id"}


async def test_a_record_is_the_receipt() -> None:
    async with running_write_server() as running:
        answer = await send(running, metadata=[("x-causation-id", "a cause")])
        record = await record_of(running, answer.command.command_id)
        assert record == answer.command
        assert record.causation_id == "a cause"


# Where a command comes from.


async def test_the_correlation_id_is_on_every_event_and_in_the_trailers() -> None:
    async with running_write_server() as running:
        order_id = await placed(running)
        call = running.stub.RecordPayment(
            FORMS["RecordPayment"].request(
                order_id=order_id, command_id="pay", amount=money(2000)
            ),
            metadata=[
                ("x-correlation-id", "my flow"),
                ("x-causation-id", "my cause"),
                ("traceparent", TRACEPARENT),
            ],
        )
        answer = await call
        assert dict(await call.trailing_metadata())["x-correlation-id"] == "my flow"
        assert answer.command.correlation_id == "my flow"
        paid = running.log()[1:]
        assert [event.type for event in paid] == ["PaymentReceived", "OrderPaid"]
        for event in paid:
            assert event.trace.correlation_id == "my flow"
            assert event.trace.causation_id == "pay"
            assert event.trace.traceparent == TRACEPARENT
        record = running.records("pay")["pay"]
        assert record.trace.causation_id == "my cause"
        assert record.trace.traceparent == TRACEPARENT


async def test_the_server_makes_a_correlation_id_if_none_is_given() -> None:
    async with running_write_server() as running:
        call = running.stub.PlaceOrder(FORMS["PlaceOrder"].request())
        answer = await call
        made = dict(await call.trailing_metadata())["x-correlation-id"]
        assert len(made) == 36
        assert answer.command.correlation_id == made
        assert running.log()[0].trace.correlation_id == made


async def test_an_error_has_the_correlation_id_as_well() -> None:
    async with running_write_server() as running:
        failure = await failure_of(
            send(running, "CancelOrder", metadata=[("x-correlation-id", "my flow")])
        )
        assert failure.trailers["x-correlation-id"] == "my flow"
        assert failure.metadata["correlation_id"] == "my flow"


async def test_what_is_told_to_the_projector_is_that_there_are_new_events() -> None:
    async with running_write_server() as running:
        order_id = await placed(running)
        assert running.appended == [1]
        await send(running, "ChangeOrderLineQuantity", order_id=order_id, quantity=2)
        await failure_of(send(running, "ShipOrder", order_id=order_id))
        assert running.appended == [1]
