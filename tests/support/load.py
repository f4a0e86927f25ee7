"""Callers that send commands to a write server at once, and note how each call ended."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from orderes.v1.command_pb2 import (
    COMMAND_STAGE_ACCEPTED,
    LANE_BULK,
    LANE_UNSPECIFIED,
    WAIT_FOR_COMMITTED,
    WAIT_FOR_UNSPECIFIED,
)
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.processes import StartedProcess, wait_until
from tests.support.rpc import failure_from

CALLERS = 6
CALL_SECONDS_MAX = 30.0
"""A call without an answer for so long hangs."""

LOST = grpc.StatusCode.UNAVAILABLE
LOST_IN_A_CRASH = frozenset({LOST, grpc.StatusCode.CANCELLED})
"""A call that comes in while a server closes unasked may be reset by the library."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a command as its caller knows it, without what may differ between calls."""

    order_id: str
    accepted: bool = False
    """It is stored, and its outcome is yet to come."""
    version: int = 0
    position: int = 0
    event_count: int = 0
    refusal: str = ""


@dataclass(slots=True)
class Sent:
    """A command that was sent, perhaps more than once."""

    command_id: str
    name: str
    request: Any
    answers: list[Answer] = field(default_factory=list)
    lost: int = 0

    def assert_one_outcome(self) -> None:
        """Of two answers the later had only come further, and the outcome was one and the same."""
        outcomes = [answer for answer in self.answers if not answer.accepted]
        assert len(set(outcomes)) == 1, self
        assert self.answers[-len(outcomes) :] == outcomes, self


@dataclass(slots=True)
class Ended:
    """How a call ended, and when it began."""

    began: float
    code: grpc.StatusCode
    reason: str
    command_id: str


class Client:
    """Sends commands over one connection, from any thread, and notes how each call ended."""

    def __init__(
        self,
        address: str,
        *,
        lost: frozenset[grpc.StatusCode] = frozenset({LOST}),
    ) -> None:
        """`lost` is how a call may end of which nothing is known; it is noted as `LOST`."""
        self._lost = lost
        # Retries of the library would hide what a caller sees.
        self._channel = grpc.insecure_channel(
            address,
            options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)],
        )
        self._stub = CommandServiceStub(self._channel)
        self.ended: list[Ended] = []

    def close(self) -> None:
        self._channel.close()

    def call(self, sent: Sent) -> grpc.StatusCode:
        """Sends a command and notes what became of it."""
        began = time.monotonic()
        try:
            answer = getattr(self._stub, sent.name)(
                sent.request, timeout=CALL_SECONDS_MAX
            )
        except grpc.RpcError as error:
            code, reason = self._note_error(sent, error)
        else:
            code, reason = grpc.StatusCode.OK, ""
            command = answer.command
            sent.answers.append(
                Answer(
                    order_id=command.order_id,
                    accepted=command.stage == COMMAND_STAGE_ACCEPTED,
                    version=command.order_version,
                    position=command.position,
                    event_count=command.event_count,
                )
            )
        self.ended.append(Ended(began, code, reason, sent.command_id))
        return code

    def _note_error(self, sent: Sent, error: Any) -> tuple[grpc.StatusCode, str]:
        trailers = dict(error.trailing_metadata() or ())
        failure = failure_from(error.code(), error.details() or "", trailers)
        if "ErrorInfo" not in failure.details or failure.code is LOST:
            assert failure.code in self._lost, failure
            sent.lost += 1
            known = "ErrorInfo" in failure.details
            return LOST, failure.reason if known else ""
        sent.answers.append(
            Answer(
                order_id=failure.metadata["order_id"],
                refusal=failure.metadata.get("rule", failure.reason),
            )
        )
        return failure.code, failure.reason


class Callers:
    """Threads that send commands until they are told to stop."""

    def __init__(self, client: Client, *, seed: int) -> None:
        self._client = client
        self._stopped = threading.Event()
        self._faults: list[Exception] = []
        self.sent: dict[str, Sent] = {}
        self._threads = [
            threading.Thread(target=self._guarded, args=(seed * CALLERS + number,))
            for number in range(CALLERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Waits until every call has ended."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * CALL_SECONDS_MAX)
        self._client.close()
        if self._faults:
            raise self._faults[0]

    def answered(self) -> int:
        return sum(ended.code is not LOST for ended in list(self.ended))

    @property
    def ended(self) -> list[Ended]:
        return self._client.ended

    def _guarded(self, seed: int) -> None:
        try:
            self._call_on(random.Random(seed))
        except Exception as fault:  # noqa: BLE001 - the thread of the test raises it.
            self._faults.append(fault)

    def _call_on(self, chance: random.Random) -> None:
        orders: list[str] = []
        mine: list[Sent] = []
        while not self._stopped.is_set():
            if mine and chance.random() < 0.2:
                sent = chance.choice(mine)
            else:
                sent = a_command(chance, orders)
                mine.append(sent)
                self.sent[sent.command_id] = sent
            if self._client.call(sent) is LOST:
                # The server is gone. Another try or two, and then the callers are stopped.
                self._stopped.wait(0.02)


def a_command(chance: random.Random, orders: list[str]) -> Sent:
    """A command for an order of this caller; mostly one that makes sense."""
    name = "PlaceOrder"
    if orders and chance.random() < 0.6:
        name = chance.choice(
            ["AddOrderLine", "ChangeOrderLineQuantity", "RecordPayment", "ShipOrder"]
        )
    order_id = an_id() if name == "PlaceOrder" else chance.choice(orders)
    if name == "PlaceOrder":
        orders.append(order_id)
    # One in three waits for more than to be stored, and one in five asks for another lane.
    delivery = {
        "wait_for": chance.choice([WAIT_FOR_COMMITTED, *2 * [WAIT_FOR_UNSPECIFIED]]),
        "lane": chance.choice([LANE_BULK, *4 * [LANE_UNSPECIFIED]]),
    }
    changes: dict[str, Any] = {
        "command_id": an_id(),
        "order_id": order_id,
        "options": delivery,
    }
    match name:
        case "ChangeOrderLineQuantity":
            changes["quantity"] = chance.randint(1, 3)
        case "RecordPayment":
            amount = {"currency_code": "EUR", "minor_units": chance.choice([1, 999])}
            changes |= {"payment_id": changes["command_id"], "amount": amount}
        case _:
            pass
    return Sent(changes["command_id"], name, FORMS[name].request(**changes))


@contextmanager
def under_load(
    process: StartedProcess,
    *,
    seed: int,
    lost: frozenset[grpc.StatusCode] = frozenset({LOST}),
) -> Iterator[Callers]:
    callers = Callers(Client(process.listening()["address"], lost=lost), seed=seed)
    callers.start()
    try:
        yield callers
    finally:
        callers.stop()


def repeat_all(process: StartedProcess, sent: Mapping[str, Sent]) -> None:
    """Repeats every command, in any order."""
    client = Client(process.listening()["address"])
    commands = random.sample(list(sent.values()), len(sent))
    with ThreadPoolExecutor(CALLERS) as callers:
        codes = list(callers.map(client.call, commands))
    client.close()
    assert LOST not in codes


def wait_for(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, seconds_max=20.0, what=what)
