"""Exactly one handler for each type of command."""

from dataclasses import dataclass

import pytest

from eventcore.aggregate import CommandHandler, CommandHandlers
from eventcore.errors import StartFailed
from tests.write_server.things import THING, Begin, Count


@dataclass(frozen=True, slots=True)
class Stop:
    """A command that nobody handles."""


def handler(command_type: type[object]) -> CommandHandler:
    return CommandHandler(command_type=command_type, aggregate=THING)


def test_each_command_finds_its_aggregate() -> None:
    handlers = CommandHandlers(
        [handler(Begin), handler(Count)], required=["Begin", "Count"]
    )
    assert handlers.aggregate_of("Count") is THING


def test_a_type_may_have_a_handler_before_a_service_takes_it() -> None:
    CommandHandlers([handler(Begin), handler(Count)], required=["Begin"])


def test_a_command_without_a_handler_fails_the_start() -> None:
    with pytest.raises(StartFailed, match="Count has no handler"):
        CommandHandlers([handler(Begin)], required=["Begin", "Count"])


def test_a_command_with_two_handlers_fails_the_start() -> None:
    with pytest.raises(StartFailed, match="Begin has 2 handlers"):
        CommandHandlers([handler(Begin), handler(Begin)], required=["Begin"])


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(
        StartFailed, match="Begin has 2 handlers; Count has no handler; Stop has no"
    ):
        CommandHandlers(
            [handler(Begin), handler(Begin)], required=["Stop", "Begin", "Count"]
        )
