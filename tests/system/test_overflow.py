"""The write server as a process that stores commands to execute them later, and their order."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orderes.v1 import command_service_pb2 as pb2
from orderes.v1.command_pb2 import (
    COMMAND_STAGE_ACCEPTED,
    COMMAND_STAGE_COMMITTED,
    LANE_BULK,
    LANE_CRITICAL,
    WAIT_FOR_COMMITTED,
    Command,
)
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from tests.orders.requests import FORMS
from tests.support.administration import Administration
from tests.support.envelopes import an_id
from tests.support.processes import StartedProcess
from tests.support.rpc import Failure, failure_from
from tests.support.write_process import accepted_in, start_write_server, stored_in

BACKLOG_CAPACITY = 100
OVERFLOW = ("--full-policy", "overflow", "--backlog-capacity", str(BACKLOG_CAPACITY))
CALLERS = 64
CALL_SECONDS_MAX = 30.0

Pair = tuple[Any, Any]
"""PlaceOrder, and RecordPayment of the same order."""


def a_pair(**placing: Any) -> Pair:
    """Of two lanes, unless the placing asks for a lane of its own."""
    order_id = an_id()
    return (
        FORMS["PlaceOrder"].request(command_id=an_id(), order_id=order_id, **placing),
        FORMS["RecordPayment"].request(command_id=an_id(), order_id=order_id),
    )


def some_pairs(count: int, **placing: Any) -> list[Pair]:
    return [a_pair(**placing) for _ in range(count)]


def ids_of(pairs: Sequence[Pair]) -> list[str]:
    return [request.command_id for pair in pairs for request in pair]


def enveloped(pairs: Sequence[Pair]) -> list[pb2.CommandEnvelope]:
    return [
        envelope
        for placing, paying in pairs
        for envelope in (
            pb2.CommandEnvelope(place_order=placing),
            pb2.CommandEnvelope(record_payment=paying),
        )
    ]


class Client:
    """Sends commands over one connection, from any thread."""

    def __init__(self, process: StartedProcess) -> None:
        self._channel = grpc.insecure_channel(
            process.listening()["address"],
            options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)],
        )
        self._stub = CommandServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def place(self, request: Any) -> Command | Failure:
        try:
            answer = self._stub.PlaceOrder(request, timeout=CALL_SECONDS_MAX)
        except grpc.RpcError as error:
            failed: Any = error
            trailers = dict(failed.trailing_metadata() or ())
            return failure_from(failed.code(), failed.details() or "", trailers)
        return answer.command

    def pay(self, request: Any) -> Command:
        return self._stub.RecordPayment(request, timeout=CALL_SECONDS_MAX).command

    def submit(self, pairs: Sequence[Pair]) -> list[Command]:
        """In one batch."""
        request = pb2.SubmitCommandsRequest(commands=enveloped(pairs))
        answer = self._stub.SubmitCommands(request, timeout=CALL_SECONDS_MAX)
        return [result.command for result in answer.results]

    def stream(self, pairs: Sequence[Pair]) -> list[Command]:
        """In one stream."""
        requests = [
            pb2.StreamCommandsRequest(sequence=number, command=envelope)
            for number, envelope in enumerate(enveloped(pairs))
        ]
        answers = list(
            self._stub.StreamCommands(iter(requests), timeout=CALL_SECONDS_MAX)
        )
        assert sorted(a.sequence for a in answers) == list(range(len(requests)))
        return [
            answer.result.command
            for answer in sorted(answers, key=lambda answer: answer.sequence)
        ]

    def place_at_once(self, requests: Sequence[Any]) -> list[Command | Failure]:
        """By as many callers as there are requests."""
        with ThreadPoolExecutor(len(requests)) as callers:
            return list(callers.map(self.place, requests))


def stages_of(commands: Sequence[Command]) -> set[int]:
    return {command.stage for command in commands}


def assert_placed_and_paid(data_dir: Path, pairs: Sequence[Pair]) -> None:
    """Both took effect, one after the other, in every pair: it is in the file."""
    stored = stored_in(data_dir)
    stored.assert_sound()
    stored.assert_in_order(ids_of(pairs))
    types: dict[str, list[str]] = {}
    for event in stored.events:
        types.setdefault(event.stream_id, []).append(event.type)
    for placing, _ in pairs:
        assert types[placing.order_id] == ["OrderPlaced", "PaymentReceived"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(data_dir: Path) -> Iterator[Client]:
    with start_write_server(data_dir) as process, Client(process) as client:
        yield client
        assert process.stop() == 0


def test_a_paused_server_stores_to_its_bound_and_executes_in_order_after_a_crash(
    tmp_path: Path,
) -> None:
    batch = some_pairs(20)
    singles = some_pairs(5)
    stream = some_pairs(20, options={"lane": LANE_BULK})
    orders = [FORMS["PlaceOrder"].request(command_id=an_id(), order_id=an_id())]
    orders += [placing for placing, _ in some_pairs(CALLERS - 1)]
    with (
        start_write_server(tmp_path, *OVERFLOW) as process,
        Administration(process) as administration,
        Client(process) as client,
    ):
        administration.pause()
        answers = client.submit(batch) + client.stream(stream)
        for placing, paying in singles:
            placed = client.place(placing)
            assert isinstance(placed, Command)
            answers += [placed, client.pay(paying)]
        assert stages_of(answers) == {COMMAND_STAGE_ACCEPTED}
        outcomes = dict(
            zip(
                [o.command_id for o in orders],
                client.place_at_once(orders),
                strict=True,
            )
        )
        process.kill()
    refused = {id_: o for id_, o in outcomes.items() if isinstance(o, Failure)}
    accepted = set(outcomes) - set(refused)
    # The lane of an order is that of its first command; the stream has filled another one.
    assert len(accepted) == BACKLOG_CAPACITY - len(ids_of(batch + singles))
    for failure in refused.values():
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == "COMMAND_QUEUE_FULL"
        assert failure.metadata["lane"] == "normal"
        assert int(failure.trailers["grpc-retry-pushback-ms"]) > 0
    pairs = batch + stream + singles
    stored = stored_in(tmp_path)
    assert stored.events == []
    assert set(stored.commands) == accepted | set(ids_of(pairs))
    _goes_on(tmp_path, pairs, [o for o in orders if o.command_id in refused])


def _goes_on(data_dir: Path, pairs: Sequence[Pair], refused: Sequence[Any]) -> None:
    """What becomes of a paused server that was killed."""
    left = accepted_in(data_dir)
    with (
        start_write_server(data_dir, *OVERFLOW) as process,
        Administration(process) as administration,
        Client(process) as client,
    ):
        status = administration.status()
        assert (status.paused, status.backlog) == (True, left)
        again = client.submit(pairs[:1])
        assert stages_of(again) == {COMMAND_STAGE_ACCEPTED}
        assert all(command.deduplicated for command in again)
        # It would be executed before all others, and its call waits for that.
        urgent, _ = a_pair(
            options={
                "lane": LANE_CRITICAL,
                "wait_for": WAIT_FOR_COMMITTED,
                "max_wait": Duration(nanos=300_000_000),
            }
        )
        placed = client.place(urgent)
        assert isinstance(placed, Command)
        assert placed.stage == COMMAND_STAGE_ACCEPTED
        assert accepted_in(data_dir) == left + 1
        administration.resume()
        administration.wait_until_executed()
        assert accepted_in(data_dir) == 0
        assert_placed_and_paid(data_dir, pairs)
        assert not stored_in(data_dir).holds_any_of(r.command_id for r in refused)
        # What was refused is taken in as soon as there is room.
        placed = client.place(refused[0])
        assert isinstance(placed, Command)
        assert placed.stage == COMMAND_STAGE_COMMITTED
        assert process.stop() == 0


def test_an_order_is_placed_before_it_is_paid_in_one_batch(
    client: Client, data_dir: Path
) -> None:
    pairs = some_pairs(50)
    assert stages_of(client.submit(pairs)) == {COMMAND_STAGE_COMMITTED}
    assert_placed_and_paid(data_dir, pairs)


@pytest.mark.parametrize("placing", [{}, {"options": {"lane": LANE_BULK}}])
def test_an_order_is_placed_before_it_is_paid_in_one_stream(
    client: Client, data_dir: Path, placing: dict[str, Any]
) -> None:
    pairs = some_pairs(100, **placing)
    assert stages_of(client.stream(pairs)) == {COMMAND_STAGE_COMMITTED}
    assert_placed_and_paid(data_dir, pairs)


def test_concurrent_calls_with_one_command_id_have_one_effect_and_equal_answers(
    client: Client, data_dir: Path
) -> None:
    request, _ = a_pair()
    answers = client.place_at_once([request] * CALLERS)
    commands = [answer for answer in answers if isinstance(answer, Command)]
    assert len(commands) == CALLERS
    assert Counter(command.deduplicated for command in commands)[False] == 1
    for command in commands:
        command.deduplicated = False
    assert {c.SerializeToString(deterministic=True) for c in commands} == {
        commands[0].SerializeToString(deterministic=True)
    }
    stored = stored_in(data_dir)
    stored.assert_sound()
    effect = [e for e in stored.events if e.command_id == request.command_id]
    assert [event.type for event in effect] == ["OrderPlaced"]


def test_the_same_command_id_with_another_quantity_is_refused(
    client: Client, data_dir: Path
) -> None:
    request, _ = a_pair()
    assert isinstance(client.place(request), Command)
    other = pb2.PlaceOrderRequest()
    other.CopyFrom(request)
    other.lines[0].quantity += 1
    before = stored_in(data_dir)
    for answer in client.place_at_once([other] * 3):
        assert isinstance(answer, Failure)
        assert answer.code is grpc.StatusCode.ALREADY_EXISTS
        assert answer.reason == "COMMAND_ID_REUSED"
    assert stored_in(data_dir) == before
