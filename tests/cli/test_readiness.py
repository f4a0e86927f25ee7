"""A server serves when each of its services says so by name."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.readiness import until_serving
from cli.up_settings import PROCESSES
from orderes.v1 import (
    command_service_pb2,
    projection_admin_service_pb2,
    query_service_pb2,
)
from tests.support.processes import free_address

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ToldHealth(health_pb2_grpc.HealthServicer):
    """Answers what a test tells it to."""

    def __init__(self, statuses: dict[str, int]) -> None:
        self.statuses = statuses
        self.asked: Counter[str] = Counter()
        self._news = asyncio.Condition()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        async with self._news:
            self.asked[request.service] += 1
            self._news.notify_all()
        if request.service not in self.statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status=self.statuses[request.service])

    async def asked_again(self, service: str) -> None:
        """Returns once the service was asked for twice more: one answer is used."""
        enough = self.asked[service] + 2
        async with self._news:
            await self._news.wait_for(lambda: self.asked[service] >= enough)


@asynccontextmanager
async def serving(health: ToldHealth) -> AsyncIterator[str]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_a_server_serves_only_when_every_named_service_does() -> None:
    health = ToldHealth({"": SERVING, "first": SERVING})

    async with asyncio.timeout(20), serving(health) as address:
        ready = asyncio.create_task(until_serving(address, ["first", "second"]))
        await health.asked_again("second")
        assert not ready.done()

        health.statuses["second"] = NOT_SERVING
        await health.asked_again("second")
        assert not ready.done()

        health.statuses["second"] = SERVING
        await ready


async def test_no_proxy_is_asked_for_the_way_to_a_process_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{free_address()}")

    async with asyncio.timeout(20), serving(ToldHealth({"a": SERVING})) as address:
        await until_serving(address, ["a"])


def test_each_process_is_asked_for_all_that_it_serves() -> None:
    write, projector, read = (process.services for process in PROCESSES)

    commands = command_service_pb2.DESCRIPTOR.services_by_name["CommandService"]
    queries = query_service_pb2.DESCRIPTOR.services_by_name["QueryService"]
    assert write == (commands.full_name,)
    assert read == (queries.full_name,)
    operators = projection_admin_service_pb2.DESCRIPTOR.services_by_name[
        "ProjectionAdminService"
    ]
    # Not for its projections: one that stands still does not keep the others from being used.
    assert projector == (operators.full_name,)
