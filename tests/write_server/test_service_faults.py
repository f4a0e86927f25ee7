"""The write server when it drains or its store fails, and what operators see of it."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from structlog.testing import CapturingLogger

from contexts.orders.write import service
from contexts.orders.write.service import ANSWER_MARGIN_SECONDS, CommandService
from eventcore.command_gateway import Receipt, WaitFor
from eventcore.errors import (
    StoreBroken,
    StoreUnavailable,
    UnknownEvent,
)
from eventcore.messages import CommandEnvelope
from eventcore.rpc import handlers
from eventcore.rpc.call import Call, enter_call
from orderes.v1 import command_pb2
from orderes.v1.write_admin_service_pb2 import ListFailedCommandsRequest
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import failure_of
from tests.support.write_server import RunningWriteServer, running_write_server
from tests.write_server.calls import money, placed, record_of, send
from write_server import batch, command_log

# Draining.


async def test_a_drain_answers_what_was_taken_in_and_takes_nothing_more_in() -> None:
    async with running_write_server() as running:
        ids = [an_id() for _ in range(4)]
        calls = [send(running, command_id=command_id) for command_id in ids[:3]]
        async with running.writer_held(*calls) as tasks:
            await running.depth_is(3)
            stopping = asyncio.create_task(running.server.stop())
            await eventually(lambda: running.server._server._calls.draining)
            refused = await failure_of(send(running, command_id=ids[3]))
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "SHUTTING_DOWN",
            )
            assert "RetryInfo" in refused.details
            assert not stopping.done()
        answers = [await task for task in tasks]
        await stopping
        assert [answer.command.position for answer in answers] == [1, 2, 3]
        assert set(running.records(*ids)) == set(ids[:3])
        assert running.stop.is_set
        assert running.stop.error is None


async def test_calls_that_outlast_the_grace_are_answered_too() -> None:
    async with running_write_server(shutdown_grace_seconds=0.05) as running:
        async with running.writer_held(send(running), send(running)) as tasks:
            await running.depth_is(2)
            stopping = asyncio.create_task(running.server.stop())
            failures = [await failure_of(task) for task in tasks]
        await stopping
        assert {failure.reason for failure in failures} == {"SHUTTING_DOWN"}
        # What was in the hands of the writer went on; what waited was withdrawn.
        assert len(running.log()) == 1


# A store that fails.


async def test_a_store_that_is_away_is_unavailable_until_it_is_back() -> None:
    async with running_write_server() as running:
        command_id = an_id()
        running.store.error = StoreUnavailable
        failure = await failure_of(send(running, command_id=command_id))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "STORE_UNAVAILABLE",
        )
        assert "RetryInfo" in failure.details
        running.store.error = None
        answer = await send(running, command_id=command_id)
        assert not answer.command.deduplicated
        assert not running.stop.is_set


async def test_a_store_that_broke_ends_the_writer_and_everyone_is_answered() -> None:
    async with running_write_server() as running:
        running.store.error = StoreBroken
        calls = [send(running) for _ in range(10)]
        async with running.writer_held(*calls) as tasks:
            await running.depth_is(10)
        failures = [await failure_of(task) for task in tasks]
        assert {failure.reason for failure in failures} == {"STORE_UNAVAILABLE"}
        await running.stop.wait()
        assert isinstance(running.stop.error, StoreBroken)
        late = await failure_of(send(running))
        assert late.reason == "SHUTTING_DOWN"
        with pytest.raises(StoreBroken):
            await running.server.stop()


async def test_a_writer_that_breaks_in_any_way_leaves_nobody_waiting() -> None:
    async with running_write_server() as running:

        def fail() -> None:
            raise ZeroDivisionError

        running.server._writer._on_appended = fail
        running.server._writer._batch_commands_max = 1
        async with running.writer_held(*(send(running) for _ in range(5))) as tasks:
            await running.depth_is(5)
        first, *others = tasks
        await first  # It was stored, and answered, before anything broke.
        failures = [await failure_of(task) for task in others]
        assert {failure.reason for failure in failures} == {"STORE_UNAVAILABLE"}
        await running.stop.wait()
        assert isinstance(running.stop.error, ZeroDivisionError)


@pytest.fixture
def broke_lines(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    logger = CapturingLogger()
    monkeypatch.setattr(batch, "log", logger)
    return logger


@pytest.fixture
def rpc_lines(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    logger = CapturingLogger()
    monkeypatch.setattr(handlers, "log", logger)
    return logger


async def test_a_handler_that_breaks_tells_nothing_of_itself(
    broke_lines: CapturingLogger,
) -> None:
    async with running_write_server(
        attempts_max=2, retry_backoff_seconds=0.001
    ) as running:
        order_id = await placed(running)
        (envelope,) = running.log()
        # The release that reads the log is not the one that wrote it.
        damaged = replace(envelope, type="OfALaterRelease")
        running.memory._tables.streams[envelope.stream][0] = damaged
        running.server._writer._execution._executor._cache.evict([envelope.stream])
        command_id = an_id()
        asked: dict[str, Any] = {
            "order_id": order_id,
            "command_id": command_id,
            "options": {"wait_for": command_pb2.WAIT_FOR_COMMITTED},
        }
        failure = await failure_of(send(running, "CancelOrder", **asked))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.INTERNAL,
            "COMMAND_FAILED",
        )
        again = await failure_of(send(running, "CancelOrder", **asked))
        assert (again.code, again.reason) == (failure.code, failure.reason)
        for word in ("OfALaterRelease", "UnknownEvent"):
            assert word not in str(failure)
        assert failure.metadata["order_id"] == order_id
        assert [
            (line.kwargs["attempt"], line.kwargs["outcome"])
            for line in broke_lines.calls
            if line.args == ("command_broke",)
        ] == [(1, "retry"), (2, "failed")]
        cause = broke_lines.calls[-1].kwargs["exc_info"].__cause__
        assert isinstance(cause, UnknownEvent)
        letters = await running.admin.ListFailedCommands(ListFailedCommandsRequest())
        (letter,) = letters.failed_commands
        assert letter.command.command_id == command_id
        assert letter.command.error.metadata["cause"] == "UnknownEvent"
        assert order_id in letter.request_json
        await send(running)


# What operators see.


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    logger = CapturingLogger()
    monkeypatch.setattr(command_log, "log", logger)
    return logger


def fields(lines: CapturingLogger) -> list[dict[str, Any]]:
    assert all(call.args == ("command",) for call in lines.calls)
    return [dict(call.kwargs) for call in lines.calls]


async def test_each_command_is_one_line_with_its_ids(lines: CapturingLogger) -> None:
    async with running_write_server() as running:
        order_id, command_id = an_id(), an_id()
        metadata = [("x-correlation-id", "my flow"), ("x-causation-id", "my cause")]
        await send(running, order_id=order_id, command_id=command_id, metadata=metadata)
        (line,) = fields(lines)
        assert line.pop("milliseconds") >= 0
        assert line == {
            "type": "PlaceOrder",
            "outcome": "committed",
            "reason": "",
            "command_id": command_id,
            "order_id": order_id,
            "version": 1,
            "position": 1,
            "correlation_id": "my flow",
            "causation_id": "my cause",
            "lane": "normal",
        }


async def test_each_line_says_what_became_of_the_command(
    lines: CapturingLogger,
) -> None:
    async with running_write_server(queue_capacity=1) as running:
        order_id, command_id = an_id(), an_id()
        await send(running, order_id=order_id, command_id=command_id)
        await send(running, order_id=order_id, command_id=command_id)
        await failure_of(send(running, command_id=command_id))
        await failure_of(send(running, "ShipOrder", order_id=order_id))
        await failure_of(
            send(running, "RecordPayment", order_id=order_id, amount=money(2001))
        )
        await failure_of(send(running, "CancelOrder"))
        async with running.writer_held(send(running)) as (leaving,):
            await failure_of(send(running))
            leaving.cancel()
            await eventually(lambda: len(lines.calls) == 8)
        # Whose caller has left is executed nevertheless, and has its slot until then.
        await running.depth_is(0)
        running.store.error = StoreUnavailable
        await failure_of(send(running))
        assert [(line["outcome"], line["reason"]) for line in fields(lines)] == [
            ("committed", ""),
            ("deduplicated", ""),
            ("not_accepted", "COMMAND_ID_REUSED"),
            ("refused", "INVALID_ORDER_STATE"),
            ("refused", "OVERPAYMENT"),
            ("refused", "ORDER_NOT_FOUND"),
            ("not_accepted", "COMMAND_QUEUE_FULL"),
            ("abandoned", ""),
            ("unknown", "STORE_UNAVAILABLE"),
        ]


async def test_an_answer_that_breaks_has_its_line_as_well(
    lines: CapturingLogger,
    rpc_lines: CapturingLogger,
) -> None:
    async with running_write_server() as running:
        fields_of_call: dict[str, Any] = {"order_id": an_id(), "command_id": an_id()}
        await send(running, **fields_of_call)
        (envelope,) = running.log()
        damaged = replace(envelope, payload="{}")
        running.memory._tables.streams[envelope.stream][0] = damaged
        failure = await failure_of(send(running, **fields_of_call))
        assert failure.reason == "INTERNAL"
        assert [(line["outcome"], line["reason"]) for line in fields(lines)] == [
            ("committed", ""),
            ("unknown", "INTERNAL"),
        ]


async def test_the_metrics_tell_of_the_queue_and_the_writer() -> None:
    async with running_write_server(
        queue_capacity=3, queue_capacity_bulk=1, batch_commands_max=2
    ) as running:
        order_id = await placed(running)
        await send(running, "RecordPayment", order_id=order_id, amount=money(2000))
        await failure_of(send(running, "CancelOrder"))
        calls = [send(running) for _ in range(3)]
        async with running.writer_held(*calls):
            await running.depth_is(3)
            await failure_of(send(running))
        assert running.depth() == 0
        check_metrics(running)


def check_metrics(running: RunningWriteServer) -> None:
    def commands(command_type: str, outcome: str) -> float:
        return running.sample(
            "orderes_commands_total", type=command_type, outcome=outcome
        )

    assert [
        running.sample("orderes_command_queue_capacity", lane=lane)
        for lane in ("critical", "normal", "bulk")
    ] == [3, 3, 1]
    assert commands("PlaceOrder", "committed") == 4
    assert commands("PlaceOrder", "not_accepted") == 1
    assert commands("RecordPayment", "committed") == 1
    assert commands("CancelOrder", "refused") == 1
    refusals = [("ORDER_NOT_FOUND", "critical"), ("COMMAND_QUEUE_FULL", "normal")]
    for reason, lane in refusals:
        assert (
            running.sample("orderes_refusals_total", reason=reason, rule="", lane=lane)
            == 1
        )
    # One by one, and then one in the hands of the writer and two behind it.
    assert running.sample("orderes_commit_batch_commands_count") == 5
    assert running.sample("orderes_commit_batch_commands_sum") == 6
    assert running.sample("orderes_commit_seconds_count") == 5
    assert running.sample("orderes_events_appended_total") == 6
    assert (
        running.sample(
            "orderes_rpc_duration_seconds_count",
            method="/orderes.v1.CommandService/PlaceOrder",
            code="RESOURCE_EXHAUSTED",
        )
        == 1
    )


# What the servicer makes of the time that a caller has.


class Gateway:
    """Notes how long a call is ready to wait, and has no answer."""

    store_id = "store"

    def __init__(self) -> None:
        self.wait_seconds = -1.0

    async def execute(
        self, envelope: CommandEnvelope, *, wait_seconds: float, wait_for: WaitFor
    ) -> Receipt:
        self.wait_seconds = wait_seconds
        raise StoreUnavailable


class Context:
    """A call with a deadline."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


@pytest.mark.parametrize(
    ("remaining", "max_wait", "expected"),
    [
        (None, None, 10.0),
        (None, 3, 3.0),
        (None, 0, 0.0),
        (None, 100, 30.0),
        (60.0, None, 10.0),
        (60.0, 100, 30.0),
        (5.0, None, 4.95 - ANSWER_MARGIN_SECONDS),
        # 12.01 s, as gRPC says it on the wire.
        (12.1, 100, 11.979 - ANSWER_MARGIN_SECONDS),
        (5.0, 3, 3.0),
        (0.01, None, 0.005),
        (0.0, None, 0.0),
    ],
)
async def test_a_command_waits_as_long_as_its_caller_does(
    remaining: float | None, max_wait: int | None, expected: float
) -> None:
    waited = Gateway()
    servicer = CommandService(gateway=cast(Any, waited), new_order_id=an_id)
    options = command_pb2.CommandOptions()
    if max_wait is not None:
        options.max_wait.FromSeconds(max_wait)
    enter_call(Call(method="/PlaceOrder", correlation_id="flow"))
    request = FORMS["PlaceOrder"].request(options=options)
    with pytest.raises(StoreUnavailable):
        await servicer.PlaceOrder(request, Context(remaining))  # type: ignore[arg-type]
    assert waited.wait_seconds == pytest.approx(expected)


async def test_every_rpc_is_answered_and_every_command_has_a_handler() -> None:
    methods = {method.name for method in service.SERVICE.methods}
    others = {"SubmitCommands", "StreamCommands", "GetCommand", "WaitCommand"}
    assert methods == {*FORMS, *others}
    assert set(service.COMMAND_TYPES) == set(FORMS)
    async with running_write_server() as running:
        for name in FORMS:
            method = getattr(running.stub, name)
            failure = await failure_of(method(FORMS[name].message()))
            assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        await failure_of(record_of(running, "unknown"))
