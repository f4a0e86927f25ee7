"""What tests ask of outcomes."""

from eventcore.command_gateway import Receipt
from eventcore.messages import CommandRecord, CommandStage
from write_server.batch import Outcome


def receipt(outcome: Outcome) -> Receipt:
    assert isinstance(outcome, Receipt), outcome
    return outcome


def refused(outcome: Outcome) -> str:
    """Why a command was refused: the rule, or the reason."""
    record = receipt(outcome).record
    assert record.refusal is not None
    assert record.stage is CommandStage.REFUSED
    return record.refusal.rule or record.refusal.reason


def records(outcomes: list[Outcome]) -> list[CommandRecord]:
    return [receipt(outcome).record for outcome in outcomes]
