"""The one log line of a command, and its count."""

import time
from collections.abc import Sequence
from typing import Any

import structlog

from eventcore.command_gateway import Receipt
from eventcore.errors import (
    CommandIdReused,
    CommandQueueFull,
    EventCoreError,
    InvalidFields,
    ShuttingDown,
)
from eventcore.messages import CommandEnvelope, CommandRecord, CommandStage, Trace
from eventcore.telemetry import CommandOutcome, WriteMetrics

_OUTCOMES = {
    CommandStage.VALIDATED: CommandOutcome.VALIDATED,
    CommandStage.ACCEPTED: CommandOutcome.ACCEPTED,
    CommandStage.COMMITTED: CommandOutcome.COMMITTED,
    CommandStage.REFUSED: CommandOutcome.REFUSED,
    CommandStage.FAILED: CommandOutcome.FAILED,
    CommandStage.DISCARDED: CommandOutcome.FAILED,
}

log = structlog.get_logger()


class CommandLog:
    """Notes how the calls of commands end."""

    def __init__(self, metrics: WriteMetrics) -> None:
        self._metrics = metrics

    def ended(
        self, envelope: CommandEnvelope, outcome: Receipt | Exception, began: float
    ) -> None:
        """Notes a command whose call has its answer."""
        if isinstance(outcome, Receipt):
            self._with_receipt(envelope, outcome, began)
        else:
            self._without_receipt(envelope, outcome, began)

    def all_turned_away(
        self, envelopes: Sequence[CommandEnvelope], error: EventCoreError, began: float
    ) -> None:
        """Notes commands that were not taken in together: one line, because they come again, and a
        full queue is no time for a hundred.
        """
        outcome = _outcome_of(error)
        for envelope in envelopes:
            if isinstance(error, CommandQueueFull):
                self._metrics.command_refused(reason=error.reason, lane=error.lane)
            self._metrics.command_ended(envelope.type, outcome)
        first = envelopes[0]
        log.info(
            "commands_turned_away",
            commands=len(envelopes),
            outcome=outcome.value,
            reason=error.reason,
            first_command_id=first.command_id,
            correlation_id=first.trace.correlation_id,
            causation_id=first.trace.causation_id,
            milliseconds=_milliseconds_since(began),
        )

    def abandoned(self, envelope: CommandEnvelope, began: float) -> None:
        """Notes a command whose caller has gone."""
        self._note(envelope, CommandOutcome.ABANDONED, began)

    def turned_away(
        self, command_type: str, command_id: str, trace: Trace, error: InvalidFields
    ) -> None:
        """Notes a command whose form is wrong."""
        self._metrics.command_ended(command_type, CommandOutcome.MALFORMED)
        log.info(
            "command",
            type=command_type,
            outcome=CommandOutcome.MALFORMED.value,
            reason=error.reason,
            command_id=command_id,
            fields=[violation.field for violation in error.violations],
            correlation_id=trace.correlation_id,
            causation_id=trace.causation_id,
        )

    def _with_receipt(
        self, envelope: CommandEnvelope, receipt: Receipt, began: float
    ) -> None:
        record = receipt.record
        error = record.error
        outcome = _OUTCOMES[record.stage]
        if receipt.deduplicated:
            outcome = CommandOutcome.DEDUPLICATED
        elif error is not None:
            self._metrics.command_refused(
                reason=error.reason, rule=error.rule, lane=record.lane
            )
        reason = "" if error is None else error.rule or error.reason
        self._note(envelope, outcome, began, record=record, reason=reason)

    def _without_receipt(
        self, envelope: CommandEnvelope, error: Exception, began: float
    ) -> None:
        if isinstance(error, CommandQueueFull):
            self._metrics.command_refused(reason=error.reason, lane=error.lane)
        known: Any = error if isinstance(error, EventCoreError) else EventCoreError
        self._note(envelope, _outcome_of(error), began, reason=known.reason)

    def _note(
        self,
        envelope: CommandEnvelope,
        outcome: CommandOutcome,
        began: float,
        *,
        record: CommandRecord | None = None,
        reason: str = "",
    ) -> None:
        self._metrics.command_ended(envelope.type, outcome)
        stream = envelope.stream if record is None else record.stream
        log.info(
            "command",
            type=envelope.type,
            outcome=outcome.value,
            reason=reason,
            command_id=envelope.command_id,
            **{f"{stream.category}_id": stream.key},
            version=0 if record is None else record.stream_version,
            position=0 if record is None else record.position,
            correlation_id=envelope.trace.correlation_id,
            causation_id=envelope.trace.causation_id,
            lane=(record or envelope).lane.value,
            milliseconds=_milliseconds_since(began),
        )


def _outcome_of(error: Exception) -> CommandOutcome:
    nothing_stored = isinstance(
        error, CommandQueueFull | CommandIdReused | ShuttingDown | InvalidFields
    )
    return CommandOutcome.NOT_ACCEPTED if nothing_stored else CommandOutcome.UNKNOWN


def _milliseconds_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
