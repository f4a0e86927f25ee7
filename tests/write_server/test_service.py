"""The write server over the wire: what goes in, what comes out, and what is stored."""

import asyncio
from typing import Any

import grpc
import pytest

from eventcore.messages import Lane
from orderes.v1 import command_pb2, errors_pb2, order_pb2
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.rpc import Failure, failure_of
from tests.support.write_server import STORE_ID, running_write_server
from tests.write_server.calls import money, placed, record_of, send

REQUIRED = {
    "PlaceOrder": {"command_id", "customer_id", "lines"},
    "AddOrderLine": {"command_id", "order_id", "line"},
    "RemoveOrderLine": {"command_id", "order_id", "product_id"},
    "ChangeOrderLineQuantity": {"command_id", "order_id", "product_id", "quantity"},
    "RecordPayment": {"command_id", "order_id", "payment_id", "amount"},
    "ShipOrder": {"command_id", "order_id", "carrier", "tracking_number"},
    "DeliverOrder": {"command_id", "order_id"},
    "CancelOrder": {"command_id", "order_id", "reason"},
    "RefundPayment": {"command_id", "order_id", "payment_id", "refund_id", "amount"},
}


# Commands and their outcomes.


async def test_a_command_is_answered_with_its_receipt_and_the_order() -> None:
    async with running_write_server() as running:
        order_id, command_id = an_id(), an_id()
        answer = await send(running, order_id=order_id, command_id=command_id)
        command = answer.command
        assert (command.command_id, command.order_id) == (command_id, order_id)
        assert command.stage == command_pb2.COMMAND_STAGE_COMMITTED
        assert (command.order_version, command.position, command.event_count) == (
            1,
            1,
            1,
        )
        assert (command.type, command.store_id) == ("PlaceOrder", STORE_ID)
        assert command.lane == command_pb2.LANE_NORMAL
        assert not command.deduplicated
        assert answer.order.order_id == order_id
        assert answer.order.state == order_pb2.ORDER_STATE_PLACED
        assert answer.order.version == 1
        assert answer.order.update_time == command.complete_time


async def test_the_server_makes_an_order_id_if_none_is_given() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        first = await send(running, order_id="", command_id=command_id)
        again = await send(running, order_id="", command_id=command_id)
        assert first.order.order_id == again.order.order_id != ""
        assert len(running.log()) == 1


async def test_the_whole_life_of_an_order() -> None:
    async with running_write_server() as running:
        order_id = await placed(running)
        steps: list[tuple[str, dict[str, Any]]] = [
            (
                "AddOrderLine",
                {
                    "line": {
                        "product_id": "bread",
                        "quantity": 1,
                        "unit_price": money(1),
                    }
                },
            ),
            ("ChangeOrderLineQuantity", {"product_id": "bread", "quantity": 2}),
            ("RemoveOrderLine", {"product_id": "bread"}),
            ("RecordPayment", {"amount": money(2000)}),
            ("ShipOrder", {}),
            ("DeliverOrder", {}),
            ("RefundPayment", {"amount": money(500)}),
        ]
        for name, changes in steps:
            answer = await send(running, name, order_id=order_id, **changes)
        assert answer.order.state == order_pb2.ORDER_STATE_DELIVERED
        assert answer.order.version == answer.command.position == 9
        assert answer.order.amount_refunded.minor_units == 500
        assert [event.type for event in running.log()] == [
            "OrderPlaced",
            "OrderLineAdded",
            "OrderLineQuantityChanged",
            "OrderLineRemoved",
            "PaymentReceived",
            "OrderPaid",
            "OrderShipped",
            "OrderDelivered",
            "PaymentRefunded",
        ]
        refused = await failure_of(send(running, "CancelOrder", order_id=order_id))
        assert refused.metadata["rule"] == "INVALID_ORDER_STATE"


async def test_a_refusal_is_the_error_of_the_call_and_is_kept() -> None:
    async with running_write_server() as running:
        order_id, command_id = await placed(running), an_id()
        pay: dict[str, Any] = {
            "order_id": order_id,
            "command_id": command_id,
            "amount": money(2001),
        }
        refused = await failure_of(send(running, "RecordPayment", **pay))
        again = await failure_of(send(running, "RecordPayment", **pay))
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.metadata["rule"] == "OVERPAYMENT"
        assert refused.metadata["order_id"] == order_id
        assert refused.metadata["command_id"] == command_id
        assert (again.code, again.message) == (refused.code, refused.message)
        ids = ("correlation_id",)
        assert {k: v for k, v in again.metadata.items() if k not in ids} == {
            k: v for k, v in refused.metadata.items() if k not in ids
        }
        kept = await record_of(running, command_id)
        assert kept.stage == command_pb2.COMMAND_STAGE_REFUSED
        assert kept.error.reason == errors_pb2.ERROR_REASON_RULE_VIOLATED
        assert (kept.error.rule, kept.error.code) == ("OVERPAYMENT", 9)
        assert kept.error.message == refused.message
        assert dict(kept.error.metadata).items() <= refused.metadata.items()


async def test_a_version_that_was_lost_is_aborted() -> None:
    async with running_write_server() as running:
        order_id = await placed(running)
        failure = await failure_of(
            send(running, "CancelOrder", order_id=order_id, expected_version=5)
        )
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.ABORTED,
            "VERSION_MISMATCH",
        )
        assert failure.metadata["actual_version"] == "1"


async def test_what_is_not_there_is_not_found() -> None:
    async with running_write_server() as running:
        failure = await failure_of(send(running, "CancelOrder"))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "ORDER_NOT_FOUND",
        )


@pytest.mark.parametrize("name", FORMS)
async def test_an_empty_request_is_told_every_field_that_is_required(
    name: str,
) -> None:
    async with running_write_server() as running:
        method = getattr(running.stub, name)
        failure = await failure_of(method(FORMS[name].message()))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_FIELDS",
        )
        assert set(failure.violations) == REQUIRED[name]


async def test_wrong_metadata_and_wrong_fields_are_named_together() -> None:
    async with running_write_server() as running:
        failure = await failure_of(
            send(running, customer_id="", metadata=[("x-correlation-id", "x" * 129)])
        )
        assert set(failure.violations) == {"x-correlation-id", "customer_id"}


# The same command again.


async def test_many_calls_at_once_with_one_id_have_one_effect() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        answers = await asyncio.gather(
            *(send(running, order_id="", command_id=command_id) for _ in range(64))
        )
        assert [a.command.deduplicated for a in answers].count(False) == 1
        for answer in answers:
            answer.command.deduplicated = False
        assert all(answer == answers[0] for answer in answers)
        assert len(running.log()) == 1


async def test_a_repeated_command_gets_the_order_as_it_was_then() -> None:
    async with running_write_server() as running:
        order_id, command_id = an_id(), an_id()
        fields: dict[str, Any] = {"order_id": order_id, "command_id": command_id}
        first = await send(running, **fields)
        await send(running, "CancelOrder", order_id=order_id)
        again = await send(running, **fields)
        assert again.command.deduplicated
        again.command.deduplicated = False
        assert again == first


async def test_an_id_is_not_for_another_command() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        await send(running, command_id=command_id)
        failure = await failure_of(send(running, command_id=command_id))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "COMMAND_ID_REUSED",
        )
        assert failure.metadata["command_id"] == command_id


async def test_a_retry_may_change_how_it_is_delivered() -> None:
    async with running_write_server() as running:
        fields: dict[str, Any] = {"order_id": an_id(), "command_id": an_id()}
        await send(running, **fields)
        again = await send(
            running,
            **fields,
            options={"lane": command_pb2.LANE_BULK, "wait_for": 2},
            expected_version=0,
            metadata=[("x-correlation-id", "another")],
        )
        assert again.command.deduplicated
        assert again.command.lane == command_pb2.LANE_NORMAL


# Back-pressure.


def assert_queue_full(failure: Failure, *, depth: int, capacity: int) -> None:
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.reason == "COMMAND_QUEUE_FULL"
    assert set(failure.details) == {"ErrorInfo", "RetryInfo"}
    facts = {"lane": "normal", "depth": str(depth), "capacity": str(capacity)}
    assert facts.items() <= failure.metadata.items()
    delay = failure.details["RetryInfo"].retry_delay.ToMilliseconds()
    assert failure.trailers["grpc-retry-pushback-ms"] == str(delay)
    assert delay > 0


async def test_a_full_queue_refuses_and_stores_nothing() -> None:
    async with running_write_server(queue_capacity=5) as running:
        ids = [an_id() for _ in range(30)]
        calls = [send(running, command_id=command_id) for command_id in ids[:5]]
        async with running.writer_held(*calls) as tasks:
            await running.depth_is(5)
            failures = await asyncio.gather(
                *(failure_of(send(running, command_id=id_)) for id_ in ids[5:])
            )
            for failure in failures:
                assert_queue_full(failure, depth=5, capacity=5)
        await asyncio.gather(*tasks)
        assert set(running.records(*ids)) == set(ids[:5])
        assert len(running.log()) == 5
        await asyncio.gather(*(send(running, command_id=id_) for id_ in ids[5:10]))
        assert len(running.log()) == 10


async def test_an_outcome_is_known_while_the_queue_is_full() -> None:
    async with running_write_server(queue_capacity=1) as running:
        order_id = await placed(running)
        done: dict[str, Any] = {"order_id": an_id(), "command_id": an_id()}
        refused: dict[str, Any] = {"order_id": order_id, "command_id": an_id()}
        first = await send(running, **done)
        before = await failure_of(send(running, "ShipOrder", **refused))
        async with running.writer_held(send(running)):
            again = await send(running, **done)
            assert again.command.deduplicated
            assert again.order == first.order
            after = await failure_of(send(running, "ShipOrder", **refused))
            assert after.metadata["rule"] == before.metadata["rule"]
            reused = await failure_of(send(running, command_id=done["command_id"]))
            assert reused.reason == "COMMAND_ID_REUSED"
            assert (await record_of(running, done["command_id"])).position == 2


async def test_a_full_lane_does_not_hold_up_payments() -> None:
    async with running_write_server(
        queue_capacity=1, queue_capacity_critical=2
    ) as running:
        order_id = await placed(running)
        async with running.writer_held(send(running)):
            await failure_of(send(running))
            pay = asyncio.ensure_future(
                send(running, "RecordPayment", order_id=order_id)
            )
            await running.depth_is(1, Lane.CRITICAL)
        assert (await pay).command.lane == command_pb2.LANE_CRITICAL


async def test_a_caller_chooses_the_lane() -> None:
    async with running_write_server() as running:
        async with running.writer_held(send(running)):
            bulk = asyncio.ensure_future(
                send(running, options={"lane": command_pb2.LANE_BULK})
            )
            await running.depth_is(1, Lane.BULK)
        assert (await bulk).command.lane == command_pb2.LANE_BULK


async def test_a_wait_that_ends_in_the_queue_is_a_full_queue() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        async with running.writer_held(send(running)):
            failure = await failure_of(
                send(
                    running,
                    command_id=command_id,
                    options={"max_wait": {"nanos": 50_000_000}},
                )
            )
            assert failure.reason == "COMMAND_QUEUE_FULL"
            assert running.depth() == 1
        assert running.records(command_id) == {}


async def test_a_deadline_that_ends_in_the_queue_withdraws_the_command() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        async with running.writer_held(send(running)):
            failure_codes = {
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                # The answer leaves in time, and may be late on a busy machine.
                grpc.StatusCode.DEADLINE_EXCEEDED,
            }
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await send(running, command_id=command_id, timeout=0.2)
            assert raised.value.code() in failure_codes
            await running.depth_is(1)
        assert running.records(command_id) == {}


async def test_a_call_that_is_cancelled_withdraws_its_command() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        async with running.writer_held(send(running)):
            leaving = asyncio.ensure_future(send(running, command_id=command_id))
            await running.depth_is(2)
            leaving.cancel()
            await running.depth_is(1)
        assert running.records(command_id) == {}


async def test_a_call_that_is_cancelled_during_the_commit_is_executed() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        async with running.writer_held(send(running, command_id=command_id)) as (call,):
            call.cancel()
        again = await send(running, command_id="another")
        assert again.command.position == 2
        assert (await record_of(running, command_id)).order_version == 1
