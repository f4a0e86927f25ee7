"""Tests of an order that read as sentences: `given(events).when(decide, command).then(events)`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.domain.order import ORDER_DECIDER
from contexts.orders.domain.state import Order
from contexts.orders.events import OrderEvent
from eventcore.decider import Refusal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    events: Sequence[OrderEvent]
    refusal: Refusal | None

    def then(self, *events: OrderEvent) -> None:
        assert self.refusal is None, f"refused: {self.refusal}"
        assert tuple(self.events) == events

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, rule_or_reason: str, **facts: str) -> None:
        """Refused by that rule, or for that reason where no rule is involved, with those facts."""
        assert self.refusal is not None, f"not refused, but: {self.events}"
        assert (self.refusal.rule or self.refusal.reason) == rule_or_reason
        assert facts.items() <= dict(self.refusal.facts).items()
        assert "order_id" in self.refusal.facts


@dataclass(frozen=True, slots=True)
class Given:
    """An order with a past."""

    order: Order

    def when(
        self,
        decide: Callable[[OrderCommand, Order], Sequence[OrderEvent]],
        command: OrderCommand,
    ) -> Outcome:
        try:
            return Outcome(decide(command, self.order), None)
        except Refusal as refusal:
            return Outcome((), refusal)


def given(*events: OrderEvent) -> Given:
    return Given(reduce(ORDER_DECIDER.evolve, events, ORDER_DECIDER.initial_state()))
