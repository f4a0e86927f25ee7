"""When a server serves: its gRPC health says so."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2

POLL_SECONDS = 0.05
CHECK_SECONDS_MAX = 2.0
"""Of one question, in which the channel goes on trying to connect."""

_OPTIONS = (
    # A server that starts is asked again soon, not after the library's second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    # Its own connection: what another channel knows of the address may be old.
    ("grpc.use_local_subchannel_pool", 1),
)


async def until_serving(address: str) -> None:
    """Returns once the server at the address says SERVING; until then it asks again."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        while True:
            try:
                answer = await check(
                    health_pb2.HealthCheckRequest(),
                    timeout=CHECK_SECONDS_MAX,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError:
                answer = health_pb2.HealthCheckResponse()
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(POLL_SECONDS)
