"""What a command says, as a fingerprint: it tells a retry from another command of the same id."""

from collections.abc import Mapping
from dataclasses import fields
from hashlib import blake2b
from typing import Any

import msgspec

from contexts.orders.domain.commands import CancelOrder, OrderCommand
from contexts.orders.events import CancelReason
from eventcore.messages import Fingerprint

FINGERPRINT_VERSION = 1
"""Of the canonical form. Stored fingerprints are compared with this version, so a change that gives
an old command another form must go on taking the old one of those that have it: fingerprints of
different versions say nothing about each other."""

_DIGEST_BYTES = 16
"""Two commands of one id by chance alike: 1 in 2**128."""

_LATER_FIELDS: Mapping[type[Any], Mapping[str, object]] = {
    CancelOrder: {"reason_code": CancelReason.OTHER},
}
"""Fields that commands were given later, with the value that says no more than their absence: a
field with that value is left out, so that a command from before it keeps its form."""

_encoder = msgspec.json.Encoder()


def fingerprint(
    command_type: str, command: OrderCommand, expected_version: int | None
) -> Fingerprint:
    """The fingerprint of a command's type, content and expected version, and of nothing else.

    The canonical form is JSON of the domain's dataclasses, in which names and their order are
    fixed, without the later fields that say nothing. The bytes of a message would not do: they are
    not canonical. The order_id of a PlaceOrder that asks for one is empty here, so that its retry
    is known again.
    """
    canonical = _encoder.encode((command_type, expected_version, _content(command)))
    return Fingerprint(
        version=FINGERPRINT_VERSION,
        digest=blake2b(canonical, digest_size=_DIGEST_BYTES).digest(),
    )


def _content(command: OrderCommand) -> object:
    later = _LATER_FIELDS.get(type(command))
    if later is None:
        return command
    content = {field.name: getattr(command, field.name) for field in fields(command)}
    return {
        name: value
        for name, value in content.items()
        if name not in later or value != later[name]
    }
