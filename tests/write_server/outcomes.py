"""What tests ask of outcomes."""

from collections.abc import Sequence

from eventcore.command_gateway import Outcome, Receipt
from eventcore.messages import CommandRecord, CommandStage


def receipt(outcome: Outcome) -> Receipt:
    assert isinstance(outcome, Receipt), outcome
    return outcome


def refused(outcome: Outcome) -> str:
    """Why a command was refused: the rule, or the reason."""
    record = receipt(outcome).record
    assert record.error is not None
    assert record.stage is CommandStage.REFUSED
    return record.error.rule or record.error.reason


def gave_up(outcome: Outcome) -> bool:
    """Whether a command was given up by a fault of ours."""
    return receipt(outcome).record.stage is CommandStage.FAILED


def stages(outcomes: Sequence[Outcome]) -> list[str]:
    """How far each command has come."""
    return [receipt(outcome).record.stage.value for outcome in outcomes]


def records(outcomes: list[Outcome]) -> list[CommandRecord]:
    return [receipt(outcome).record for outcome in outcomes]
