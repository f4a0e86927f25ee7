"""The write server that drains while calls wait for what it will not execute any more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orderes.v1 import command_service_pb2 as pb2
from orderes.v1 import write_admin_service_pb2 as admin_pb2
from orderes.v1.command_pb2 import COMMAND_STAGE_ACCEPTED, WAIT_FOR_COMMITTED
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.write_server import RunningWriteServer, running_write_server
from tests.write_server.calls import send

LONG = Duration(seconds=25)
GRACE_SECONDS = 60.0
"""Longer than any call waits, and longer than a test may take."""

UNTIL_EXECUTED = {"wait_for": WAIT_FOR_COMMITTED, "max_wait": LONG}


@pytest.fixture
async def paused() -> AsyncIterator[RunningWriteServer]:
    async with running_write_server(shutdown_grace_seconds=GRACE_SECONDS) as running:
        await running.admin.PauseExecution(
            admin_pb2.PauseExecutionRequest(reason="a test")
        )
        yield running


async def stored(running: RunningWriteServer, *command_ids: str) -> None:
    """Returns once they are on disk."""
    await eventually(lambda: len(running.records(*command_ids)) == len(command_ids))


async def test_who_waits_for_what_is_stored_is_told_at_once_that_it_is(
    paused: RunningWriteServer,
) -> None:
    command_id = an_id()
    executing = asyncio.ensure_future(
        send(paused, command_id=command_id, options=UNTIL_EXECUTED)
    )
    await stored(paused, command_id)
    waiting = asyncio.ensure_future(
        paused.stub.WaitCommand(
            pb2.WaitCommandRequest(command_id=command_id, max_wait=LONG)
        )
    )
    await eventually(lambda: len(paused.server._server._calls._tasks) == 2)
    async with asyncio.timeout(GRACE_SECONDS / 4):
        await paused.server.stop()
    for answer in (await executing, await waiting):
        assert answer.command.stage == COMMAND_STAGE_ACCEPTED


async def test_a_stream_gets_its_answers_and_then_hears_of_the_end(
    paused: RunningWriteServer,
) -> None:
    ids = [an_id() for _ in range(10)]
    call = paused.stub.StreamCommands()
    for sequence, command_id in enumerate(ids):
        request = FORMS["PlaceOrder"].request(
            command_id=command_id, order_id=an_id(), options=UNTIL_EXECUTED
        )
        await call.write(
            pb2.StreamCommandsRequest(
                sequence=sequence, command=pb2.CommandEnvelope(place_order=request)
            )
        )
    await stored(paused, *ids)
    answers: list[Any] = []

    async def read() -> None:
        async for answer in call:
            answers.append(answer)  # noqa: PERF401 - those before the end count.

    reading = asyncio.create_task(read())
    async with asyncio.timeout(GRACE_SECONDS / 4):
        await paused.server.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reading
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert sorted(answer.sequence for answer in answers) == list(range(10))
    stages = {answer.result.command.stage for answer in answers}
    assert stages == {COMMAND_STAGE_ACCEPTED}
