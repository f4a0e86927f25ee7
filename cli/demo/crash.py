"""The chapter in which the write server is killed, and nothing is lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc

from cli.demo.house import CALL_SECONDS_MAX, QUEUE_CAPACITY, Commands, House
from cli.demo.orders import outcome, place_order
from cli.demo.telling import Telling
from orderes.v1.command_pb2 import Command
from orderes.v1.command_service_pb2 import GetCommandRequest, PlaceOrderRequest
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import ListOrdersRequest

CUSTOMER_ID = "c-crash"
COMMANDS = 200
CALLERS = QUEUE_CAPACITY
"""As many as the queue takes: this chapter is not about a full one."""
ANSWERS_BEFORE_THE_KILL = 80
PAGE_SIZE = 500


@dataclass(slots=True)
class Run:
    """A run of commands, and what is known of each."""

    requests: list[PlaceOrderRequest]
    answered: dict[str, Command] = field(default_factory=dict)
    """The receipts, by command_id."""
    kill_is_due: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def unanswered(self) -> list[PlaceOrderRequest]:
        """The commands of which nobody knows whether they took effect."""
        return [
            request
            for request in self.requests
            if request.command_id not in self.answered
        ]


async def tell_crash(house: House, telling: Telling) -> None:
    """Kills the write server in the middle of a run of commands."""
    telling.chapter("The write server is killed with -9, and nothing is lost")
    telling.say(
        f"{COMMANDS} orders are placed by {CALLERS} callers at once. After "
        f"{ANSWERS_BEFORE_THE_KILL} answers the write server is killed, without a "
        "warning."
    )
    run = Run([place_order(CUSTOMER_ID) for _ in range(COMMANDS)])
    dead_pid = await _run_and_kill(house, run)
    telling.came(
        f"{len(run.answered)} commands answered, then process {dead_pid} is gone; "
        f"{len(run.unanswered)} have no answer"
    )
    await house.write_server_is_back(dead_pid)
    telling.go_on(
        "The supervisor has started another one, which reads the truth from disk. "
        "Is every command that was answered there?"
    )
    commands = await house.commands()
    await _find_answered(commands, run, telling)
    telling.go_on(
        "Of the others nobody can know: they may have taken effect or not. Repeating "
        "each with its own command_id settles it."
    )
    await _settle(commands, run, telling)
    await _count_in_read_model(house, run, telling)


async def _run_and_kill(house: House, run: Run) -> int:
    commands = await house.commands(retrying=False)
    waiting = iter(run.requests)
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_call_until_killed(commands, run, waiting))
        await run.kill_is_due.wait()
        return await house.kill_write_server()


async def _call_until_killed(
    commands: Commands, run: Run, waiting: Iterator[PlaceOrderRequest]
) -> None:
    try:
        for request in waiting:
            answer = await commands.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
            run.answered[request.command_id] = answer.command
            if len(run.answered) >= ANSWERS_BEFORE_THE_KILL:
                run.kill_is_due.set()
    except grpc.aio.AioRpcError:
        run.kill_is_due.set()  # Unless it failed earlier, it was killed.


async def _find_answered(commands: Commands, run: Run, telling: Telling) -> None:
    telling.sent(f"GetCommand, for each of the {len(run.answered)}")
    kept = await asyncio.gather(
        *(_is_kept(commands, receipt) for receipt in run.answered.values())
    )
    found = kept.count(True)
    telling.came(f"{found} found, each as it was answered")
    telling.claim(
        "no answered command is missing", holds=found == len(run.answered) > 0
    )


async def _is_kept(commands: Commands, receipt: Command) -> bool:
    """Whether the store tells of a command what was answered then."""
    request = GetCommandRequest(command_id=receipt.command_id)
    try:
        answer = await commands.GetCommand(request, timeout=CALL_SECONDS_MAX)
    except grpc.aio.AioRpcError:
        return False
    return outcome(answer.command) == outcome(receipt)


async def _settle(commands: Commands, run: Run, telling: Telling) -> None:
    unanswered = run.unanswered
    telling.sent(f"PlaceOrder, for each of the {len(unanswered)}")
    had_happened = 0
    for request in unanswered:
        answer = await commands.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
        run.answered[request.command_id] = answer.command
        had_happened += answer.command.deduplicated
    telling.came(
        f"{had_happened} had taken effect before the kill, "
        f"{len(unanswered) - had_happened} took effect now"
    )
    orders = {receipt.order_id for receipt in run.answered.values()}
    telling.claim(
        "every command has one outcome, an order of its own",
        holds=len(run.answered) == len(orders) == COMMANDS,
    )


async def _count_in_read_model(house: House, run: Run, telling: Telling) -> None:
    queries = await house.queries()
    newest = max(receipt.position for receipt in run.answered.values())
    request = ListOrdersRequest(
        customer_id=CUSTOMER_ID,
        page_size=PAGE_SIZE,
        consistency=Consistency(min_position=newest),
    )
    telling.sent(f"ListOrders of this customer, with min_position {newest}")
    answer = await queries.ListOrders(request, timeout=CALL_SECONDS_MAX)
    telling.came(f"{len(answer.orders)} orders")
    listed = {order.order_id for order in answer.orders}
    expected = {receipt.order_id for receipt in run.answered.values()}
    telling.claim(
        f"the read model has all {COMMANDS}, and none twice",
        holds=len(answer.orders) == COMMANDS and listed == expected,
    )
