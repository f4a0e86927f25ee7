"""A command bus whose writer is the test."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from eventcore.command_gateway import Receipt
from eventcore.messages import CommandEnvelope, Lane
from tests.support.envelopes import a_record
from write_server.command_bus import CommandBus, Entry
from write_server.pace import Pace

LONG_SECONDS = 60.0
"""A wait that no test sees the end of."""
SHORT_SECONDS = 0.01


def a_bus(
    capacity: int = 10, *, pace: Pace | None = None, **capacities: int
) -> CommandBus:
    return CommandBus(
        {lane: capacities.get(lane.value, capacity) for lane in Lane},
        pace=pace or Pace(batch_commands_max=10),
    )


def receipt_of(entry: Entry) -> Receipt:
    return Receipt(record=a_record(entry.command_id, entry.stream))


def settle(bus: CommandBus, batch: Sequence[Entry]) -> None:
    bus.settle(batch, [receipt_of(entry) for entry in batch])


def ids(batch: Sequence[Entry]) -> list[str]:
    return [entry.command_id for entry in batch]


@asynccontextmanager
async def calling(
    *calls: Coroutine[Any, Any, Receipt],
) -> AsyncIterator[list[asyncio.Task[Receipt]]]:
    """Calls that have come as far as they can without the writer."""
    tasks = [asyncio.create_task(call) for call in calls]
    await a_turn()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def a_turn() -> None:
    """Lets everything run that is ready to run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def call(
    bus: CommandBus, envelope: CommandEnvelope, wait_seconds: float = LONG_SECONDS
) -> Coroutine[Any, Any, Receipt]:
    return bus.submit(envelope, wait_seconds=wait_seconds)


def is_empty(bus: CommandBus) -> bool:
    return not bus._in_flight and not any(bus.lanes.depth(lane) for lane in Lane)
