"""When a server serves: its gRPC health says so."""

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2

from cli.client import WITHOUT_PROXY

POLL_SECONDS = 0.05
CHECK_SECONDS_MAX = 2.0
"""Of one question, in which the channel goes on trying to connect."""

_OPTIONS = (
    # What is waited for runs on this machine.
    *WITHOUT_PROXY,
    # A server that starts is asked again soon, not after the library's second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # Its own connection: what another channel knows of the address may be old.
    ("grpc.use_local_subchannel_pool", 1),
)


async def until_serving(address: str, services: Sequence[str]) -> None:
    """Returns once the server says SERVING of every service; until then it asks again.

    The services are named, because the answer for the server as a whole says nothing of
    one that it does not know yet.
    """
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        while not await _all_serving(channel, services):  # noqa: ASYNC110 - It asks.
            await asyncio.sleep(POLL_SECONDS)


async def _all_serving(channel: grpc.aio.Channel, services: Sequence[str]) -> bool:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    for service in services:
        try:
            answer = await check(
                health_pb2.HealthCheckRequest(service=service),
                timeout=CHECK_SECONDS_MAX,
                wait_for_ready=True,
            )
        except grpc.aio.AioRpcError:
            return False
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return False
    return True
