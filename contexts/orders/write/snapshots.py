"""An order as the payload of its snapshots."""

import msgspec

from contexts.orders.domain.state import Order
from contexts.orders.view import OrderView

SNAPSHOT_SCHEMA_VERSION = 1
"""Of the payload. Raise it with every change of the state, of the view, or of how they fold: an
older snapshot would go on telling what the order was by the old rules."""


class OrderSnapshots:
    """State and view of an order as JSON: readable in any SQL tool, and exact both ways."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(tuple[Order, OrderView])

    @property
    def schema_version(self) -> int:
        """Of the payload."""
        return SNAPSHOT_SCHEMA_VERSION

    def encode(self, state: Order, view: OrderView) -> bytes:
        """The payload."""
        return self._encoder.encode((state, view))

    def decode(self, payload: bytes) -> tuple[Order, OrderView]:
        """The state and the view that a payload of this version was made of."""
        return self._decoder.decode(payload)
