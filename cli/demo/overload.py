"""The chapter in which the queue is full, and says so."""

import asyncio
from dataclasses import dataclass

import grpc

from cli.demo.house import CALL_SECONDS_MAX, QUEUE_CAPACITY, Commands, House
from cli.demo.orders import place_order
from cli.demo.telling import Telling
from orderes.client.failure import Failure, failure_of
from orderes.v1.command_pb2 import Command
from orderes.v1.command_service_pb2 import GetCommandRequest, PlaceOrderRequest

CUSTOMER_ID = "c-crowd"
CALLS = 400
CONNECTIONS = 8
ROUNDS_MAX = 5
"""A machine that is fast enough to keep the queue from filling gets another try."""
PATIENT_CALLERS = QUEUE_CAPACITY


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command that was sent, and what came back."""

    request: PlaceOrderRequest
    answer: Command | Failure


async def tell_overload(house: House, telling: Telling) -> None:
    """Fills the queue until it refuses."""
    telling.chapter("A full queue says so, and stores nothing")
    telling.say(
        f"The queue of this write server holds {QUEUE_CAPACITY} commands. Now {CALLS} "
        f"come at once, on {CONNECTIONS} connections, from clients that do not retry."
    )
    calls = await _crowd(house)
    refused = [
        (call.request, call.answer)
        for call in calls
        if isinstance(call.answer, Failure)
    ]
    telling.sent(f"PlaceOrder, {len(calls)} times at once")
    telling.came(f"{len(calls) - len(refused)} COMMITTED, {len(refused)} refused")
    if not refused:
        telling.claim("the queue was full", holds=False)
        return
    _show_refusal(refused[0][1], telling)
    telling.claim(
        "every refusal is RESOURCE_EXHAUSTED with its reason, RetryInfo and pushback",
        holds=all(_is_full(failure) for _, failure in refused),
    )
    requests = [request for request, _ in refused]
    await _find_none(house, requests, telling)
    await _retry(house, requests, telling)


async def _crowd(house: House) -> list[Call]:
    """Sends many commands at once, until some are refused; the calls of that round."""
    services = [await house.commands(retrying=False) for _ in range(CONNECTIONS)]
    calls: list[Call] = []
    for _ in range(ROUNDS_MAX):
        requests = [place_order(CUSTOMER_ID) for _ in range(CALLS)]
        calls = await asyncio.gather(
            *(
                _place(services[number % CONNECTIONS], request)
                for number, request in enumerate(requests)
            )
        )
        if any(isinstance(call.answer, Failure) for call in calls):
            break
    return calls


async def _place(commands: Commands, request: PlaceOrderRequest) -> Call:
    try:
        answer = await commands.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError as error:
        return Call(request=request, answer=failure_of(error))
    return Call(request=request, answer=answer.command)


def _show_refusal(failure: Failure, telling: Telling) -> None:
    telling.go_on("One of the refusals:")
    telling.refused(failure)
    facts = ", ".join(
        f"{name} {failure.facts.get(name)}" for name in ("lane", "depth", "capacity")
    )
    telling.came(
        f"{facts}; RetryInfo {failure.retry_delay_seconds} s; "
        f"grpc-retry-pushback-ms {failure.pushback_milliseconds}"
    )


def _is_full(failure: Failure) -> bool:
    return (
        failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        and failure.reason == "COMMAND_QUEUE_FULL"
        and failure.retry_delay_seconds is not None
        and failure.pushback_milliseconds is not None
    )


async def _find_none(
    house: House, requests: list[PlaceOrderRequest], telling: Telling
) -> None:
    commands = await house.commands()
    telling.sent(f"GetCommand, for each of the {len(requests)} refused")
    answers = await asyncio.gather(
        *(_is_absent(commands, request) for request in requests)
    )
    absent = answers.count(True)
    telling.came(f"{absent} times COMMAND_NOT_FOUND")
    telling.claim(
        "nothing of a refused command is stored", holds=absent == len(requests)
    )


async def _is_absent(commands: Commands, request: PlaceOrderRequest) -> bool:
    """Whether the store says that it knows nothing of the command."""
    asked = GetCommandRequest(command_id=request.command_id)
    try:
        await commands.GetCommand(asked, timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError as error:
        return failure_of(error).reason == "COMMAND_NOT_FOUND"
    return False


async def _retry(
    house: House, requests: list[PlaceOrderRequest], telling: Telling
) -> None:
    telling.go_on(
        "Clients that retry, with the same command_id and after the pushback, get "
        "through."
    )
    commands = await house.commands(retrying=True)
    waiting = iter(requests)
    committed: list[Command] = []

    async def caller() -> None:
        for request in waiting:
            call = await _place(commands, request)
            if isinstance(call.answer, Command):
                committed.append(call.answer)

    telling.sent(f"PlaceOrder, the {len(requests)} again, {PATIENT_CALLERS} at a time")
    async with asyncio.TaskGroup() as group:
        for _ in range(PATIENT_CALLERS):
            group.create_task(caller())
    telling.came(f"{len(committed)} COMMITTED")
    telling.claim(
        "each of them took effect now, for the first time",
        holds=len(committed) == len(requests)
        and not any(command.deduplicated for command in committed),
    )
