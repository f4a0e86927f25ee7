"""The write server as a process that is killed under load, again and again."""

import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.support.load import (
    CALLERS,
    LOST,
    Client,
    Sent,
    under_load,
    wait_for,
)
from tests.support.processes import StartedProcess
from tests.support.write_process import start_write_server, stored_in

ROUNDS = int(os.environ.get("ORDERES_CRASH_ROUNDS", "3"))
"""How often the server is killed; more for a long run."""


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_a_server_that_is_killed_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    sent: dict[str, Sent] = {}
    for number in range(ROUNDS):
        with start_write_server(tmp_path) as process:
            enough = chance.randint(50, 200)
            with under_load(process, seed=seed + number) as callers:
                wait_for(lambda: callers.answered() >= enough, "answers")  # noqa: B023
                process.kill()
            sent |= callers.sent
    stored = stored_in(tmp_path)
    stored.assert_sound()
    answered = {s.command_id for s in sent.values() if s.answers}
    assert answered - set(stored.commands) == set()
    assert len(answered) > 20 * ROUNDS
    assert sum(s.lost for s in sent.values()) > 0
    with start_write_server(tmp_path) as process:
        repeat_all(process, sent)
        repeat_all(process, sent)
        assert process.stop() == 0
    stored = stored_in(tmp_path)
    stored.assert_sound()
    assert set(stored.commands) == set(sent)
    for command in sent.values():
        # Whatever was answered, and however often: it was one and the same.
        assert len(set(command.answers)) == 1, command
        assert len(command.answers) >= 2


def repeat_all(process: StartedProcess, sent: dict[str, Sent]) -> None:
    """Repeats every command, in any order."""
    client = Client(process.listening()["address"])
    commands = random.sample(list(sent.values()), len(sent))
    with ThreadPoolExecutor(CALLERS) as callers:
        codes = list(callers.map(client.call, commands))
    client.close()
    assert LOST not in codes


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
