"""How events of older versions become those of the next: a pure function for each step."""

from collections.abc import Mapping
from typing import Any

from contexts.orders.events import CancelReason


def order_cancelled_to_2(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cancellation had only its text; which of the codes that means, nobody can say now."""
    return {**content, "reason_code": CancelReason.OTHER.value}
