"""The whole write side of a store without its ports: gateway, bus, writer and administration."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from eventcore.errors import StoreBroken
from eventcore.messages import Instant, Lane
from eventcore.telemetry import WriteMetrics
from eventcore.threads import OwnThread
from eventcore.write_administration import FullPolicy
from eventcore.write_store import WriteStore, WriteStoreReader
from tests.support.envelopes import an_id
from tests.write_server.things import CACHE_BYTES_MAX, HANDLERS, KEEP_ALL, NOW
from write_server.administration import BusAdministration
from write_server.aggregates import AggregateCache
from write_server.batch import BatchExecutor
from write_server.command_bus import CommandBus
from write_server.command_log import CommandLog
from write_server.execution import Execution
from write_server.gateway import BusGateway
from write_server.lookup import Lookup
from write_server.pace import Pace
from write_server.pruning import Pruning
from write_server.recovery import recover
from write_server.retries import Retries
from write_server.rules import LaneRule
from write_server.snapshotting import Snapshotting
from write_server.storing import CommandStoring
from write_server.writer import Writer


@dataclass(slots=True, kw_only=True)
class WriteSide:
    """What a test talks to."""

    gateway: BusGateway
    administration: BusAdministration
    bus: CommandBus
    writing: asyncio.Task[None]
    registry: CollectorRegistry
    broken: list[StoreBroken] = field(default_factory=list)

    def sample(self, name: str) -> float:
        """The value of a metric; 0 before its first one."""
        return self.registry.get_sample_value(name) or 0.0


@asynccontextmanager
async def write_side(
    store: WriteStore,
    reader: WriteStoreReader,
    *,
    capacity: int = 10,
    policy: FullPolicy = FullPolicy.REJECT,
    attempts_max: int = 3,
    backoff_seconds: float = 0.001,
    streams_max: int = 10,
    now: Instant = NOW,
    keep_events: int = KEEP_ALL,
    prune_events_max: int = 100,
    **rule: Any,
) -> AsyncIterator[WriteSide]:
    """Runs the write side of things over a store. Each moment is a microsecond after the last."""
    threads = [OwnThread("writer"), OwnThread("reader")]
    times = itertools.count(now)
    broken: list[StoreBroken] = []
    registry = CollectorRegistry()
    metrics = WriteMetrics(registry)
    pace = Pace(batch_commands_max=10)
    lane_rule = LaneRule(capacity=capacity, full_policy=policy, **rule)
    bus = CommandBus(
        dict.fromkeys(Lane, lane_rule),
        pace=pace,
        retries=Retries(backoff_seconds=backoff_seconds),
    )
    cache = AggregateCache(aggregates_max=100, bytes_max=CACHE_BYTES_MAX)
    snapshotting = Snapshotting(store=store, cache=cache, every_events=0)
    shared: dict[str, Any] = {
        "store": store,
        "handlers": HANDLERS,
        "clock": lambda: next(times),
        "attempts_max": attempts_max,
    }
    execution = Execution(
        storing=CommandStoring(**shared),
        executor=BatchExecutor(
            **shared, new_event_id=an_id, cache=cache, snapshotting=snapshotting
        ),
        snapshotting=snapshotting,
        pruning=Pruning(
            store=store, keep_events=keep_events, prune_events_max=prune_events_max
        ),
    )
    lookup = Lookup(
        reader=reader,
        thread=threads[1],
        handlers=HANDLERS,
        on_broken=broken.append,
    )
    gateway = BusGateway(
        store_id="store",
        bus=bus,
        lookup=lookup,
        command_log=CommandLog(metrics),
        streams_max=streams_max,
    )
    administration = BusAdministration(
        store_id="store",
        bus=bus,
        lookup=lookup,
        store=store,
        writer_thread=threads[0],
        clock=lambda: next(times),
        metrics=metrics,
        on_broken=broken.append,
    )
    recovered = await threads[0].run(lambda: recover(store))
    if recovered.pause is not None:
        bus.pause()
    bus.restore(recovered.commands, now=now)
    writer = Writer(
        bus=bus,
        execution=execution,
        thread=threads[0],
        pace=pace,
        metrics=metrics,
        batch_commands_max=10,
        on_appended=lambda: None,
    )
    writing = asyncio.create_task(writer.run())
    try:
        yield WriteSide(
            gateway=gateway,
            administration=administration,
            bus=bus,
            writing=writing,
            registry=registry,
            broken=broken,
        )
    finally:
        bus.close()
        await asyncio.gather(writing, return_exceptions=True)
        for thread in threads:
            await asyncio.to_thread(thread.close)
