"""What the callers do."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.generator import requests
from benchmarks.generator.calls import (
    CALL_SECONDS_MAX,
    QUEUE_FULL,
    Refused,
    call,
    call_until,
    result_of,
    stage_of,
)
from benchmarks.generator.jobs import Job, Tally
from orderes.v1 import command_service_pb2 as pb2
from orderes.v1.command_pb2 import LANE_NORMAL, LANE_UNSPECIFIED
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import GetOrderRequest

ECHO_SERVICE = "orderes.benchmarks.Echo"
ECHO_METHOD = "Echo"
PREPARING_CALLERS = 4
STREAM_SECONDS_MAX = 300.0


async def place(job: Job, stub: Any, tally: Tally) -> None:
    """A caller of `Work.PLACE`."""
    end = job.begin + job.seconds
    while time.monotonic() < end:
        answer = await call_until(end, stub.PlaceOrder, requests.place_order(), tally)
        if answer is None:
            return
        tally.count(stage_of(answer.command))
        tally.succeeded += time.monotonic() <= end


async def echo(job: Job, channel: Any, tally: Tally) -> None:
    """A caller of `Work.ECHO`."""
    end = job.begin + job.seconds
    method = channel.unary_unary(f"/{ECHO_SERVICE}/{ECHO_METHOD}")
    while time.monotonic() < end:
        await call(method, requests.place_order().SerializeToString(), tally)
        tally.succeeded += time.monotonic() <= end


async def get(job: Job, stub: Any, tally: Tally, *, orders: Sequence[str]) -> None:
    """A caller of `Work.GET`."""
    end = job.begin + job.seconds
    consistency = None
    if job.min_position:
        consistency = Consistency(min_position=job.min_position)
    while time.monotonic() < end:
        request = GetOrderRequest(
            order_id=random.choice(orders),  # noqa: S311 - nothing here is secret.
            consistency=consistency,
        )
        await call(stub.GetOrder, request, tally)
        tally.succeeded += time.monotonic() <= end


async def send_batches(job: Job, stub: Any, tally: Tally) -> None:
    """A caller of `Work.BATCHES`."""
    end = job.begin + job.seconds
    while time.monotonic() < end:
        batch = requests.batch(options=requests.BULK)
        answer = await call_until(end, stub.SubmitCommands, batch, tally)
        if answer is None:
            return
        in_time = time.monotonic() <= end
        for result in answer.results:
            tally.count(result_of(result))
            tally.succeeded += in_time and result.HasField("command")


async def stream(job: Job, stub: Any, tally: Tally) -> None:
    """A caller of `Work.STREAM`: it sends as fast as flow control lets it."""
    end = job.begin + (job.seconds or STREAM_SECONDS_MAX)
    calling = stub.StreamCommands(timeout=STREAM_SECONDS_MAX + CALL_SECONDS_MAX)
    options = None if job.count else requests.BULK

    async def send() -> None:
        sequence = 0
        while time.monotonic() < end and (not job.count or sequence < job.count):
            sequence += 1
            envelope = pb2.CommandEnvelope(
                place_order=requests.place_order(options=options)
            )
            await calling.write(
                pb2.StreamCommandsRequest(sequence=sequence, command=envelope)
            )
        await calling.done_writing()

    sending = asyncio.create_task(send())
    async for answer in calling:
        if time.monotonic() > end:
            # What is on its way could take as long again: it is withdrawn.
            sending.cancel()
            calling.cancel()
            tally.count_call("ended by its client")
            return
        tally.count(result_of(answer.result))
        tally.succeeded += answer.result.HasField("command")
    await sending
    tally.count_call((await calling.code()).name)


async def prepare(count: int, stubs: Sequence[Any], tally: Tally) -> list[str]:
    """Places orders, as fast as batches do it; their ids."""
    batches = [requests.batch() for _ in range(-(-count // requests.BATCH_COMMANDS))]
    waiting = iter(batches)

    async def send(stub: Any) -> None:
        for batch in waiting:
            end = time.monotonic() + CALL_SECONDS_MAX
            await call_until(end, stub.SubmitCommands, batch, tally)

    await asyncio.gather(
        *(send(stubs[n % len(stubs)]) for n in range(PREPARING_CALLERS))
    )
    placed = [envelope for batch in batches for envelope in batch.commands]
    return [envelope.place_order.order_id for envelope in placed][:count]


async def pay(job: Job, orders: list[str], stubs: Sequence[Any], tally: Tally) -> None:
    """`Work.PAY`: calls begin by the clock, so that a slow answer delays no other."""

    async def one(order_id: str, stub: Any) -> None:
        try:
            answer = await call(
                stub.RecordPayment, requests.record_payment(order_id), tally
            )
        except Refused as refused:
            tally.count(refused.status)
        else:
            tally.count(stage_of(answer.command))
            tally.succeeded += 1

    async with asyncio.TaskGroup() as calls:
        for number in range(int(job.seconds * job.per_second)):
            due = job.begin + number / job.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            calls.create_task(one(orders.pop(), stubs[number % len(stubs)]))


async def live(job: Job, stubs: Sequence[Any], tally: Tally) -> None:
    """`Work.LIVES`: nothing is repeated, so that the bound shows."""
    waiting = iter(range(job.count))

    async def lives(stub: Any) -> None:
        for _ in waiting:
            lane = LANE_UNSPECIFIED
            for method, request in requests.life():
                request.options.lane = lane
                try:
                    answer = await call(getattr(stub, method), request, tally)
                except Refused as refused:
                    tally.count(refused.status)
                    if refused.status != QUEUE_FULL:
                        raise
                    # The rest meets the same bound, and not that of the lane of its type.
                    lane = LANE_NORMAL
                    continue
                stage = stage_of(answer.command)
                tally.count(stage)
                tally.succeeded += 1
                if stage == "ACCEPTED":
                    tally.accepted.append(request.command_id)

    await asyncio.gather(*(lives(stubs[n % len(stubs)]) for n in range(job.callers)))
