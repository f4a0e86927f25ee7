"""What one command comes to: events, a refusal, or a fault of ours. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eventcore.errors import Refusal, VersionMismatch
from eventcore.messages import CommandEnvelope, Kind, NewEvent, Trace
from write_server.aggregates import Loaded
from write_server.jobs import HandlerBroke

EXISTENCE = (Kind.NOT_FOUND, Kind.ALREADY_EXISTS)
"""Refusals that are said before the expected version is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a command comes to. No events and no refusal: its work was done before."""

    envelope: CommandEnvelope
    loaded: Loaded
    version_before: int = 0
    events: Sequence[Any] = ()
    new_events: Sequence[NewEvent] = ()
    refusal: Refusal | None = None


def decide(
    envelope: CommandEnvelope, loaded: Loaded, *, new_event_id: Callable[[], str]
) -> Decision | HandlerBroke:
    """Decides a command and moves the aggregate over its events."""
    try:
        return _decide(envelope, loaded, new_event_id)
    except Refusal as refusal:
        return Decision(envelope=envelope, loaded=loaded, refusal=refusal)
    except Exception as error:  # noqa: BLE001 - whatever breaks, breaks one command alone.
        broke = HandlerBroke(f"the handler of {envelope.type} broke")
        broke.__cause__ = error
        return broke


def _decide(
    envelope: CommandEnvelope, loaded: Loaded, new_event_id: Callable[[], str]
) -> Decision:
    version = loaded.version
    aggregate = loaded.aggregate
    try:
        events = aggregate.decider.decide(envelope.command, loaded.state)
    except Refusal as refusal:
        if refusal.kind not in EXISTENCE:
            _check_version(envelope, version)
        raise
    if not events:
        return Decision(envelope=envelope, loaded=loaded, version_before=version)
    _check_version(envelope, version)
    trace = Trace(
        correlation_id=envelope.trace.correlation_id,
        causation_id=envelope.command_id,
        actor=envelope.trace.actor,
        traceparent=envelope.trace.traceparent,
    )
    new_events = []
    for event in events:
        event_type, schema_version, payload = aggregate.codec.encode(event)
        new_events.append(
            NewEvent(
                event_id=new_event_id(),
                type=event_type,
                schema_version=schema_version,
                payload=payload,
                trace=trace,
            )
        )
    loaded.decided(events)
    return Decision(
        envelope=envelope,
        loaded=loaded,
        version_before=version,
        events=events,
        new_events=new_events,
    )


def _check_version(envelope: CommandEnvelope, actual: int) -> None:
    expected = envelope.expected_version
    if expected is not None and expected != actual:
        raise VersionMismatch(expected=expected, actual=actual)
