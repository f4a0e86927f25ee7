"""One call: how it ended, and what the server says about trying again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from benchmarks.generator.jobs import Tally
from orderes.v1.command_pb2 import Command, CommandStage
from orderes.v1.errors_pb2 import ErrorReason

CALL_SECONDS_MAX = 30.0
QUEUE_FULL = "RESOURCE_EXHAUSTED COMMAND_QUEUE_FULL"


class Refused(Exception):
    """A call that ended with an error."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.code())
        trailers = dict(error.trailing_metadata() or ())
        self.status = f"{error.code().name} {_reason(trailers)}".rstrip()
        pushback = trailers.get("grpc-retry-pushback-ms")
        self.retry_seconds = None if pushback is None else int(pushback) / 1000


def _reason(trailers: dict[str, Any]) -> str:
    status = Status()
    status.ParseFromString(trailers.get("grpc-status-details-bin", b""))
    info = ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


async def call(
    method: Callable[..., Awaitable[Any]], request: Any, tally: Tally
) -> Any:
    """The answer of a call.

    Raises:
        Refused: there was an error instead.
    """
    began = time.monotonic()
    try:
        answer = await method(request, timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError as error:
        refused = Refused(error)
        tally.count_call(refused.status)
        raise refused from None
    tally.latencies.append(time.monotonic() - began)
    tally.count_call("OK")
    return answer


async def call_until(
    end: float, method: Callable[..., Awaitable[Any]], request: Any, tally: Tally
) -> Any:
    """The answer of a call that is repeated, as the server asks, while there is no room; None if
    the time is over before.
    """
    while True:
        try:
            return await call(method, request, tally)
        except Refused as refused:
            if refused.retry_seconds is None:
                raise
            left = end - time.monotonic()
            if left <= refused.retry_seconds:
                return None
            await asyncio.sleep(refused.retry_seconds)


def stage_of(command: Command) -> str:
    """The name of a command's stage."""
    return CommandStage.Name(command.stage).removeprefix("COMMAND_STAGE_")


def result_of(result: Any) -> str:
    """How a command of a batch or a stream went."""
    if result.HasField("command"):
        return stage_of(result.command)
    return ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")
