"""Fingerprints: what makes two calls the same command, and what makes them different ones."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.domain.commands import OrderCommand
from contexts.orders.fingerprint import FINGERPRINT_VERSION, fingerprint
from contexts.orders.wire import commands as wire
from eventcore.fields import FieldFaults
from eventcore.messages import Fingerprint
from tests.orders.examples import ORDER_ID
from tests.orders.requests import FORMS

GOLDEN = {
    "PlaceOrder": "95b941c299959823d70c16827a81dd0c",
    "AddOrderLine": "d589b55e4398db2f6e4689314ac1be04",
    "RemoveOrderLine": "b4377a577def8b9a8a999e6bb8e89bef",
    "ChangeOrderLineQuantity": "1853645792f537a138b239b7b96ac181",
    "RecordPayment": "cbfc81bed51cb4c23be785795afade9c",
    "ShipOrder": "9d35297b732f6eec40d5a587c4c6c3d4",
    "DeliverOrder": "e5263c96252f85161249a614678db77a",
    "CancelOrder": "c8ef003dbf1fced4174be09fec2bb840",
    "RefundPayment": "05a0bd64c879ab1a1a4319ece5f7bf62",
}
"""Journals hold these: a retry that comes after an upgrade must still be known."""

CODED_CANCELLATION = "e8d6eb1448766cb6355a4908b45c5cde"
"""As is this one, of the cancellation above with the code FRAUD."""

UNKNOWN_FIELD = b"\xc0\x3e\x01"
"""Field number 1000 with the value 1, as a newer client may send it."""


def of(name: str, request: Any) -> Fingerprint:
    """The fingerprint of a request, as the service takes it."""
    faults = FieldFaults()
    expected_version = wire.expected_version(request, faults)
    taken = fingerprint(name, FORMS[name].command(request), expected_version)
    faults.raise_if_any()
    return taken


@pytest.mark.parametrize("name", FORMS)
def test_the_canonical_form_is_frozen(name: str) -> None:
    taken = of(name, FORMS[name].request())
    assert (taken.version, taken.digest.hex()) == (FINGERPRINT_VERSION, GOLDEN[name])
    assert FINGERPRINT_VERSION == 1


def backwards(request: Any) -> bytes:
    """The request with its fields in the opposite order, and one that nobody knows."""
    chunks = [UNKNOWN_FIELD]
    for field, _ in request.ListFields():
        alone = type(request)()
        alone.CopyFrom(request)
        for other, _ in request.ListFields():
            if other.name != field.name:
                alone.ClearField(other.name)
        chunks.append(alone.SerializeToString())
    return b"".join(reversed(chunks))


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(FORMS)),
    order_id=st.sampled_from([ORDER_ID, ORDER_ID.upper()]),
    command_id=st.sampled_from(["a", "b"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "wait_for": st.integers(0, 2),
            "lane": st.integers(0, 3),
            "max_wait": st.fixed_dictionaries({"seconds": st.integers(0, 60)}),
        },
    ),
)
def test_delivery_spelling_and_bytes_do_not_make_another_command(
    name: str, order_id: str, command_id: str, options: dict[str, Any]
) -> None:
    request = FORMS[name].request(
        order_id=order_id, command_id=command_id, options=options
    )
    sent = FORMS[name].message.FromString(backwards(request))
    assert of(name, sent) == of(name, FORMS[name].request())


def test_cancelling_for_another_reason_is_cancelling_without_a_code() -> None:
    """A retry of a cancellation from before there were codes finds its stored row."""
    form = FORMS["CancelOrder"]
    said = form.request(reason_code="CANCEL_REASON_OTHER")
    assert of("CancelOrder", said) == of("CancelOrder", form.request())
    assert of("CancelOrder", said).digest.hex() == GOLDEN["CancelOrder"]


def test_the_canonical_form_of_a_cancellation_with_a_code_is_frozen() -> None:
    request = FORMS["CancelOrder"].request(reason_code="CANCEL_REASON_FRAUD")
    assert of("CancelOrder", request).digest.hex() == CODED_CANCELLATION


def test_placing_with_expected_version_0_is_placing_without() -> None:
    form = FORMS["PlaceOrder"]
    assert of("PlaceOrder", form.request(expected_version=0)) == of(
        "PlaceOrder", form.request()
    )


COMMANDS = st.tuples(
    st.one_of([st.from_type(command) for command in get_args(OrderCommand)]),
    st.none() | st.integers(0, 2),
)


@settings(deadline=None)
@given(COMMANDS, COMMANDS)
def test_commands_have_one_fingerprint_when_and_only_when_they_are_the_same(
    one: tuple[OrderCommand, int | None], other: tuple[OrderCommand, int | None]
) -> None:
    taken = [
        fingerprint(type(command).__name__, command, expected_version)
        for command, expected_version in (one, other)
    ]
    assert (taken[0] == taken[1]) == (one == other)


DOLLARS = {"currency_code": "USD", "minor_units": 1000}
CENT = {"currency_code": "EUR", "minor_units": 1001}
LINE = {"product_id": "apples", "quantity": 2, "unit_price": CENT}
OTHER_ORDER = ORDER_ID.replace("0", "1")
CONTENT: dict[str, list[dict[str, Any]]] = {
    "PlaceOrder": [
        {"order_id": ""},
        {"customer_id": "customer-2"},
        {"lines": [LINE]},
        {"lines": [LINE, {**LINE, "product_id": "bread"}]},
        {"lines": [{**LINE, "product_id": "bread"}, LINE]},
    ],
    "AddOrderLine": [
        {"line": LINE},
        {"line": {**LINE, "quantity": 3}},
        {"line": {**LINE, "product_id": "bread"}},
        {"line": {**LINE, "unit_price": DOLLARS}},
    ],
    "RemoveOrderLine": [{"product_id": "bread"}],
    "ChangeOrderLineQuantity": [{"product_id": "bread"}, {"quantity": 4}],
    "RecordPayment": [{"payment_id": "p"}, {"amount": CENT}, {"amount": DOLLARS}],
    "ShipOrder": [
        {"carrier": "T-1", "tracking_number": "post"},
        {"carrier": "mail"},
        {"tracking_number": "T-2"},
    ],
    "DeliverOrder": [],
    "CancelOrder": [
        {"reason": "another"},
        {"reason_code": "CANCEL_REASON_CUSTOMER_REQUEST"},
        {"reason_code": "CANCEL_REASON_OUT_OF_STOCK"},
        {"reason_code": "CANCEL_REASON_PAYMENT_FAILED"},
        {"reason_code": "CANCEL_REASON_FRAUD"},
    ],
    "RefundPayment": [
        {"payment_id": "refund-1", "refund_id": "payment-1"},
        {"payment_id": "p"},
        {"refund_id": "r"},
        {"amount": CENT},
        {"amount": DOLLARS},
    ],
}


VERSIONS: dict[str, list[dict[str, Any]]] = {
    name: [{"expected_version": 0}, {"expected_version": 1}]
    for name in FORMS.keys() - {"PlaceOrder"}
}


def test_every_change_of_content_makes_another_command() -> None:
    variants: list[tuple[str, dict[str, Any]]] = []
    for name in FORMS:
        variants += [(name, {}), (name, {"order_id": OTHER_ORDER})]
        variants += [(name, changes) for changes in CONTENT[name]]
        variants += [(name, changes) for changes in VERSIONS.get(name, [])]
    digests = {
        of(name, FORMS[name].request(**changes)).digest for name, changes in variants
    }
    assert len(digests) == len(variants)
