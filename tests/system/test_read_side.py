"""The read side under a steady write load: its projector is killed, frozen, and made to rebuild.

`make projections ROUNDS=50` is the long form.
"""

import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.consistency_pb2 import Consistency
from tests.orders.requests import FORMS
from tests.support.envelopes import an_id
from tests.support.load import under_load
from tests.support.processes import StartedProcess
from tests.support.read_side import (
    NAMES,
    Operator,
    Queries,
    asked,
    assert_verified,
    at_the_end,
    failure_in,
    start_projector,
    start_read_server,
    wait_for,
)
from tests.support.rpc import Failure
from tests.support.write_process import start_write_server

ROUNDS = int(os.environ.get("ORDERES_PROJECTOR_ROUNDS", "3"))
"""How often the projector is killed; more for a long run."""
WRITES = int(os.environ.get("ORDERES_READ_YOUR_WRITES", "200"))
"""How many writes are read back; more for a long run."""
REBUILD_FLAGS = ("--rebuild-share", "0.9")


def is_lagging(failure: Failure) -> bool:
    return failure.reason == "PROJECTION_LAGGING" and "RetryInfo" in failure.details


@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_whatever_becomes_of_the_projector_queries_go_on_and_nothing_is_missing(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    with start_write_server(tmp_path) as server:
        with at_the_end(tmp_path):
            pass
        with (
            start_read_server(tmp_path) as reader,
            under_load(server, seed=seed),
            asked(reader) as asking,
        ):
            rebuilt = dict.fromkeys(NAMES, 1)
            for number in range(ROUNDS):
                kill_one(tmp_path, chance, rebuilt, name=NAMES[number % len(NAMES)])
            freeze_one(tmp_path)
            sys.stdout.write(
                f"{ROUNDS} times killed: {sum(asking.answers.values())} answers, the slowest in "
                f"{asking.longest_seconds:.2f} s\n"
            )
        with at_the_end(tmp_path):
            assert server.stop() == 0
    assert_verified(tmp_path)


def kill_one(
    data_dir: Path, chance: random.Random, rebuilt: dict[str, int], *, name: str
) -> None:
    """A rebuild is begun, and the projector is killed somewhere before, in or after it."""
    with (
        start_projector(data_dir, *REBUILD_FLAGS) as projector,
        closing(Operator(projector)) as operator,
    ):
        wait_for(lambda: operator.serves(rebuilt), "a projector at work")
        shown = operator.shown()[name]
        if not shown.HasField("rebuild"):
            rebuilt[name] = shown.generation
            operator.rebuild(name)
        enough = shown.position + chance.randint(1, 60)
        wait_for(
            lambda: operator.shown()[name].position >= enough, "events that are applied"
        )
        projector.kill()


def freeze_one(data_dir: Path) -> None:
    """A projector stands still for a while, and answers do not say that they are fresh."""
    with (
        start_projector(data_dir) as projector,
        start_read_server(data_dir) as reader,
        closing(Operator(projector)) as operator,
        closing(Queries(reader)) as queries,
    ):
        wait_for(
            lambda: operator.serves(dict.fromkeys(NAMES, 1)), "a projector at work"
        )
        os.kill(projector.pid, signal.SIGSTOP)

        def lag_seconds() -> float:
            answer = queries.ask("list", "", Consistency())
            return float(answer.read_info.lag.ToTimedelta().total_seconds())

        wait_for(lambda: lag_seconds() > 3, "lag that shows")
        os.kill(projector.pid, signal.SIGCONT)
        wait_for(lambda: lag_seconds() == 0, "an answer that is fresh again")
        assert projector.stop() == 0


@pytest.mark.timeout(180)
def test_a_newer_release_answers_not_yet_until_its_read_models_are_made(
    tmp_path: Path,
) -> None:
    with start_write_server(tmp_path) as server:
        with at_the_end(tmp_path):
            pass
        with start_read_server(tmp_path) as older:
            with (
                under_load(server, seed=5),
                asked(older),
                start_read_server(tmp_path, newer=True) as newer,
                asked(newer, allowed=is_lagging) as asking,
            ):
                wait_for(lambda: sum(asking.failures.values()) > 20, "not yet")
                assert not asking.answers
                with (
                    start_projector(tmp_path, newer=True) as projector,
                    closing(Operator(projector)) as operator,
                ):
                    wait_for(
                        lambda: operator.serves(dict.fromkeys(NAMES, 2)),
                        "the newer ones",
                    )
                    wait_for(lambda: len(asking.answers) == 5, "answers from them")
                    projector.kill()
            assert older.stop() == 0
        with at_the_end(tmp_path, newer=True):
            assert server.stop() == 0


@pytest.mark.timeout(60 + WRITES // 20)
def test_who_has_written_reads_it_or_is_told_that_it_is_not_there_yet(
    tmp_path: Path,
) -> None:
    with (
        start_write_server(tmp_path) as server,
        start_read_server(tmp_path) as reader,
        closing(Queries(reader)) as queries,
        killed_now_and_then(tmp_path, every=max(WRITES // 5, 1)) as projector,
        grpc.insecure_channel(server.listening()["address"]) as channel,
    ):
        commands = CommandServiceStub(channel)
        wait_for(queries.are_answered, "a read store")
        not_yet = 0
        for number in range(WRITES):
            order_id = an_id()
            request = FORMS["PlaceOrder"].request(command_id=an_id(), order_id=order_id)
            receipt = commands.PlaceOrder(request, timeout=10).command
            demand = Consistency(
                min_position=receipt.position, store_id=receipt.store_id
            )
            projector.tick(number)
            for name in ("orders", "order_events"):
                not_yet += not is_read(queries, name, order_id, demand)
    sys.stdout.write(f"{WRITES} writes read back twice, {not_yet} times not yet\n")
    assert not_yet < WRITES


def is_read(queries: Queries, name: str, order_id: str, demand: Consistency) -> bool:
    """Whether an order is there, as far as is demanded; if not, the answer has to say so."""
    try:
        answer = queries.ask(name, order_id, demand)
    except grpc.RpcError as error:
        failure = failure_in(error)
        if is_lagging(failure):
            return False
        raise AssertionError(failure) from error
    assert answer.read_info.position >= demand.min_position
    return True


class KilledNowAndThen:
    """A projector that is killed after every so many ticks, and started again."""

    def __init__(self, data_dir: Path, *, every: int) -> None:
        self._data_dir = data_dir
        self._every = every
        self._process: StartedProcess = start_projector(data_dir)

    def tick(self, number: int) -> None:
        if number % self._every == self._every - 1:
            self._process.kill()
            self._process = start_projector(self._data_dir)

    def close(self) -> None:
        self._process.kill()


@contextmanager
def killed_now_and_then(data_dir: Path, *, every: int) -> Iterator[KilledNowAndThen]:
    with closing(KilledNowAndThen(data_dir, every=every)) as projector:
        yield projector
