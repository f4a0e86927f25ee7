"""What a command says, as a fingerprint: it tells a retry from another command of the same id."""

from hashlib import blake2b

import msgspec

from contexts.orders.domain.commands import OrderCommand
from eventcore.messages import Fingerprint

FINGERPRINT_VERSION = 1
"""Of the canonical form. Stored fingerprints are compared with this version, so a change that gives
an old command another form must go on taking the old one of those that have it: fingerprints of
different versions say nothing about each other."""

_DIGEST_BYTES = 16
"""Two commands of one id by chance alike: 1 in 2**128."""

_encoder = msgspec.json.Encoder()


def fingerprint(
    command_type: str, command: OrderCommand, expected_version: int | None
) -> Fingerprint:
    """The fingerprint of a command's type, content and expected version, and of nothing else.

    The canonical form is JSON of the domain's dataclasses, in which names and their order are
    fixed. The bytes of a message would not do: they are not canonical. The order_id of a
    PlaceOrder that asks for one is empty here, so that its retry is known again.
    """
    canonical = _encoder.encode((command_type, expected_version, command))
    return Fingerprint(
        version=FINGERPRINT_VERSION,
        digest=blake2b(canonical, digest_size=_DIGEST_BYTES).digest(),
    )
