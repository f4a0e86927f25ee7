"""The write server as a process that is killed under load, again and again."""

import os
import random
import sys
import time
from enum import Enum
from pathlib import Path

import grpc
import pytest

from tests.support.administration import Administration
from tests.support.load import (
    CALLERS,
    LOST,
    Sent,
    repeat_all,
    under_load,
    wait_for,
)
from tests.support.write_process import accepted_in, start_write_server, stored_in

ROUNDS = int(os.environ.get("ORDERES_CRASH_ROUNDS", "10"))
"""How often the server is killed; more for a long run."""


class Manner(Enum):
    """What a server is about when it is killed."""

    EXECUTING = "executing"
    OVERFLOWING = "overflowing"
    """It has fewer slots than callers: some of their commands are stored before executed."""
    PAUSED = "paused"
    """It stores whatever comes, and executes nothing."""


FLAGS = {
    Manner.EXECUTING: (),
    Manner.OVERFLOWING: ("--full-policy", "overflow", "--queue-capacity", "2"),
    Manner.PAUSED: (),
}


class Killings:
    """A server that is killed under load, and what its callers know."""

    def __init__(self, directory: Path, *, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._chance = random.Random(seed)
        self.sent: dict[str, Sent] = {}
        self.left = 0
        """Commands that were stored and not executed when the server was killed."""

    def kill_one(self, number: int) -> None:
        """Starts the server on what the one before has left, and kills it."""
        manner = list(Manner)[number % len(Manner)]
        enough = self._chance.randint(30, 90)
        with (
            start_write_server(self._directory, *FLAGS[manner]) as process,
            Administration(process) as administration,
            under_load(process, seed=self._seed + number) as callers,
        ):
            administration.resume()
            wait_for(lambda: callers.answered() >= enough, "answers")
            if manner is Manner.PAUSED:
                administration.pause()
                # Each caller has commands stored until it waits for one to be executed.
                wait_for(lambda: self._left() >= CALLERS, "commands that are stored")
            process.kill()
        left = self._left()
        self.left += left
        self.sent |= callers.sent
        sys.stdout.write(
            f"round {number + 1} of {ROUNDS}: killed while {manner.value}, after "
            f"{callers.answered()} answers; {left} commands stored and not executed\n"
        )

    def _left(self) -> int:
        return accepted_in(self._directory)

    def repeat_all(self) -> None:
        """Has the rest executed, and repeats every command, until it was answered twice."""
        with start_write_server(self._directory) as process:
            with Administration(process) as administration:
                administration.resume()
                administration.wait_until_executed()
            repeat_all(process, self.sent)
            once = {id_: s for id_, s in self.sent.items() if len(s.answers) < 2}
            repeat_all(process, once)
            assert process.stop() == 0


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_a_server_that_is_killed_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    killings = Killings(tmp_path, seed=seed)
    for number in range(ROUNDS):
        killings.kill_one(number)
    stored = stored_in(tmp_path)
    stored.assert_sound()
    sent = killings.sent
    answered = [s.command_id for s in sent.values() if s.answers]
    assert set(answered) - set(stored.commands) == set()
    assert len(answered) > 20 * ROUNDS
    assert sum(s.lost for s in sent.values()) > 0
    killings.repeat_all()
    stored = stored_in(tmp_path)
    stored.assert_sound()
    assert set(stored.commands) == set(sent)
    assert accepted_in(tmp_path) == 0
    assert killings.left >= CALLERS * (ROUNDS // len(Manner))
    # Each order has one caller, which sent the next command when the one before was answered.
    stored.assert_in_order(answered)
    for command in sent.values():
        command.assert_one_outcome()
        assert len(command.answers) >= 2
    sys.stdout.write(
        f"{ROUNDS} times killed: {len(sent)} commands, {len(answered)} answered before, "
        f"0 of them lost; {killings.left} were stored and not executed when the server was "
        f"killed; {len(stored.events)} events, every command with one effect and one outcome\n"
    )


def test_a_server_that_is_told_to_stop_answers_every_call(tmp_path: Path) -> None:
    with start_write_server(tmp_path) as process:
        with under_load(process, seed=7) as callers:
            wait_for(lambda: callers.answered() >= 200, "answers")
            told = time.monotonic()
            assert process.stop() == 0
        assert '"drain' in process.output
    before = [ended for ended in callers.ended if ended.began < told]
    assert {e.code for e in before if not e.reason} <= {grpc.StatusCode.OK}, before[-9:]
    turned_away = [e for e in callers.ended if e.reason == "SHUTTING_DOWN"]
    stored = stored_in(tmp_path)
    stored.assert_sound()
    answered = {s.command_id for s in callers.sent.values() if s.answers}
    assert answered <= set(stored.commands)
    never = {e.command_id for e in turned_away} - answered
    lost = {e.command_id for e in callers.ended if e.code is LOST and not e.reason}
    assert not stored.holds_any_of(never - lost)
