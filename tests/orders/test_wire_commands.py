"""Requests as commands: what is well-formed, and that every wrong field is named, once."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.orders.domain.commands import (
    AddOrderLine,
    CancelOrder,
    ChangeOrderLineQuantity,
    DeliverOrder,
    OrderCommand,
    PlaceOrder,
    RecordPayment,
    RefundPayment,
    RemoveOrderLine,
    ShipOrder,
)
from contexts.orders.events import CancelReason
from contexts.orders.wire import commands as wire
from eventcore.fields import FieldFaults
from orderes.v1.command_service_pb2 import CommandEnvelope
from tests.orders.examples import ORDER_ID, euro, line
from tests.orders.requests import FORMS, wrong_fields

APPLES = line("apples", 2, euro(1000))

COMMANDS: dict[str, OrderCommand] = {
    "PlaceOrder": PlaceOrder(
        order_id=ORDER_ID, customer_id="customer-1", lines=(APPLES,)
    ),
    "AddOrderLine": AddOrderLine(order_id=ORDER_ID, line=APPLES),
    "RemoveOrderLine": RemoveOrderLine(order_id=ORDER_ID, product_id="apples"),
    "ChangeOrderLineQuantity": ChangeOrderLineQuantity(
        order_id=ORDER_ID, product_id="apples", quantity=3
    ),
    "RecordPayment": RecordPayment(
        order_id=ORDER_ID, payment_id="payment-1", amount=euro(1000)
    ),
    "ShipOrder": ShipOrder(order_id=ORDER_ID, carrier="post", tracking_number="T-1"),
    "DeliverOrder": DeliverOrder(order_id=ORDER_ID),
    "CancelOrder": CancelOrder(order_id=ORDER_ID, reason="changed my mind"),
    "RefundPayment": RefundPayment(
        order_id=ORDER_ID,
        payment_id="payment-1",
        refund_id="refund-1",
        amount=euro(1000),
    ),
}

REQUIRED: dict[str, set[str]] = {
    "PlaceOrder": {"command_id", "customer_id", "lines"},
    "AddOrderLine": {"command_id", "order_id", "line"},
    "RemoveOrderLine": {"command_id", "order_id", "product_id"},
    "ChangeOrderLineQuantity": {"command_id", "order_id", "product_id", "quantity"},
    "RecordPayment": {"command_id", "order_id", "payment_id", "amount"},
    "ShipOrder": {"command_id", "order_id", "carrier", "tracking_number"},
    "DeliverOrder": {"command_id", "order_id"},
    "CancelOrder": {"command_id", "order_id", "reason"},
    "RefundPayment": {"command_id", "order_id", "payment_id", "refund_id", "amount"},
}

LONG_TEXTS = [
    ("PlaceOrder", "customer_id", 128),
    ("RemoveOrderLine", "product_id", 128),
    ("ChangeOrderLineQuantity", "product_id", 128),
    ("RecordPayment", "payment_id", 128),
    ("RefundPayment", "payment_id", 128),
    ("RefundPayment", "refund_id", 128),
    ("ShipOrder", "carrier", 64),
    ("ShipOrder", "tracking_number", 128),
    ("CancelOrder", "reason", 500),
]


def wrong(name: str, **changes: Any) -> dict[str, str]:
    form = FORMS[name]
    return wrong_fields(form, form.request(**changes))


def wrong_names(name: str, **changes: Any) -> set[str]:
    return set(wrong(name, **changes))


def wire_line(number: int, **changes: Any) -> dict[str, Any]:
    content = {
        "product_id": f"product-{number}",
        "quantity": 1,
        "unit_price": {"currency_code": "EUR", "minor_units": 1},
    }
    return {**content, **changes}


def test_every_command_of_the_domain_and_of_the_contract_is_read() -> None:
    names = {command.__name__ for command in get_args(OrderCommand)}
    of_contract = CommandEnvelope.DESCRIPTOR.oneofs_by_name["command"].fields
    assert set(FORMS) == set(COMMANDS) == set(REQUIRED) == names
    messages = {field.message_type for field in of_contract}
    assert messages == {form.message.DESCRIPTOR for form in FORMS.values()}
    assert messages == {each.DESCRIPTOR for each in get_args(wire.CommandRequest)}


@pytest.mark.parametrize("name", FORMS)
def test_the_reader_of_every_request_is_found(name: str) -> None:
    faults = FieldFaults()
    assert wire.order_command(FORMS[name].request(), faults) == COMMANDS[name]
    assert faults.violations == []


@pytest.mark.parametrize("name", FORMS)
def test_a_well_formed_request_becomes_its_command(name: str) -> None:
    assert wrong(name) == {}
    assert FORMS[name].command(FORMS[name].request()) == COMMANDS[name]


@pytest.mark.parametrize("name", FORMS)
def test_an_empty_request_is_told_every_required_field(name: str) -> None:
    form = FORMS[name]
    faults = wrong_fields(form, form.message())
    assert set(faults) == REQUIRED[name]


@pytest.mark.parametrize("name", FORMS)
def test_a_command_has_the_fields_of_its_request_and_no_others(name: str) -> None:
    shared = {"command_id", "expected_version", "options"}
    fields = set(FORMS[name].message.DESCRIPTOR.fields_by_name) - shared
    assert set(type(COMMANDS[name]).__dataclass_fields__) == fields


@pytest.mark.parametrize(("name", "field", "limit"), LONG_TEXTS)
def test_text_may_be_as_long_as_its_limit_and_not_one_character_more(
    name: str, field: str, limit: int
) -> None:
    assert wrong(name, **{field: "x"}) == {}
    assert wrong(name, **{field: "ß" * limit}) == {}
    assert wrong_names(name, **{field: "ß" * (limit + 1)}) == {field}


@pytest.mark.parametrize(("name", "field", "limit"), LONG_TEXTS)
@pytest.mark.parametrize("character", ["\0", "\n", "\x7f", "\x85"])
def test_text_has_no_control_characters(
    name: str, field: str, limit: int, character: str
) -> None:
    assert wrong_names(name, **{field: f"a{character}b"}) == {field}


@pytest.mark.parametrize("text", ["a b", "日本", "a\u00a0b", "\U0001f600"])
def test_any_other_character_is_text(text: str) -> None:
    assert wrong("CancelOrder", reason=text) == {}


@pytest.mark.parametrize("reason_code", CancelReason)
def test_a_cancellation_may_have_a_code(reason_code: CancelReason) -> None:
    form = FORMS["CancelOrder"]
    request = form.request(reason_code=f"CANCEL_REASON_{reason_code.value}")
    assert form.command(request) == CancelOrder(
        order_id=ORDER_ID, reason="changed my mind", reason_code=reason_code
    )


def test_a_cancellation_without_a_code_is_for_another_reason() -> None:
    unspecified = FORMS["CancelOrder"].request(reason_code=0)
    for request in (unspecified, FORMS["CancelOrder"].request()):
        command = FORMS["CancelOrder"].command(request)
        assert isinstance(command, CancelOrder)
        assert command.reason_code is CancelReason.OTHER


@pytest.mark.parametrize("number", [-1, 6, 99])
def test_a_code_that_is_not_of_the_contract_is_refused(number: int) -> None:
    assert wrong("CancelOrder", reason_code=number) == {
        "reason_code": f"is {number}, which is no CancelReason"
    }


@pytest.mark.parametrize("name", FORMS)
def test_an_order_id_is_a_uuid_in_small_letters(name: str) -> None:
    request = FORMS[name].request(order_id=ORDER_ID.upper())
    assert FORMS[name].command(request).order_id == ORDER_ID
    for malformed in ("x", ORDER_ID[:-1], ORDER_ID + "0", "{" + ORDER_ID[1:]):
        assert wrong_names(name, order_id=malformed) == {"order_id"}
    assert wrong_names(name, order_id=f"{ORDER_ID}\n") == {"order_id"}


def test_only_placing_may_leave_the_order_id_to_the_server() -> None:
    request = FORMS["PlaceOrder"].request(order_id="")
    assert FORMS["PlaceOrder"].command(request).order_id == ""
    for name in FORMS.keys() - {"PlaceOrder"}:
        assert wrong_names(name, order_id="") == {"order_id"}


@pytest.mark.parametrize("command_id", ["a", "A-z_0.9:", "x" * 64])
def test_a_command_id_is_up_to_64_plain_characters(command_id: str) -> None:
    assert wrong("DeliverOrder", command_id=command_id) == {}


@pytest.mark.parametrize("command_id", ["", "x" * 65, "a b", "ä", "a\n", "a/b"])
def test_any_other_command_id_is_refused(command_id: str) -> None:
    assert wrong_names("DeliverOrder", command_id=command_id) == {"command_id"}


@pytest.mark.parametrize("name", FORMS)
def test_an_expected_version_is_not_negative(name: str) -> None:
    assert wrong_names(name, expected_version=-1) == {"expected_version"}


def read_expected_version(name: str, **changes: Any) -> int | None:
    return wire.expected_version(FORMS[name].request(**changes), FieldFaults())


def test_an_expected_version_may_be_absent_and_may_be_any_version() -> None:
    assert read_expected_version("DeliverOrder") is None
    for version in (0, 1, 2**63 - 1):
        assert read_expected_version("DeliverOrder", expected_version=version) == (
            version
        )


def test_placing_expects_that_there_is_no_order_whether_it_says_so_or_not() -> None:
    assert read_expected_version("PlaceOrder") is None
    assert read_expected_version("PlaceOrder", expected_version=0) is None
    assert wrong_names("PlaceOrder", expected_version=1) == {"expected_version"}


@pytest.mark.parametrize("quantity", [1, 10_000])
def test_a_quantity_is_1_to_10000(quantity: int) -> None:
    assert wrong("ChangeOrderLineQuantity", quantity=quantity) == {}


@pytest.mark.parametrize("quantity", [-1, 0, 10_001])
def test_any_other_quantity_is_refused(quantity: int) -> None:
    assert wrong_names("ChangeOrderLineQuantity", quantity=quantity) == {"quantity"}
    lines = [wire_line(0, quantity=quantity)]
    assert wrong_names("PlaceOrder", lines=lines) == {"lines[0].quantity"}


@pytest.mark.parametrize("name", ["RecordPayment", "RefundPayment"])
@pytest.mark.parametrize("minor_units", [0, -1, -(2**63)])
def test_an_amount_is_at_least_1(name: str, minor_units: int) -> None:
    amount = {"currency_code": "EUR", "minor_units": minor_units}
    assert wrong_names(name, amount=amount) == {"amount.minor_units"}
    assert wrong(name, amount={"currency_code": "EUR", "minor_units": 2**63 - 1}) == {}


@pytest.mark.parametrize("name", ["RecordPayment", "RefundPayment"])
@pytest.mark.parametrize(
    "currency_code", ["", "eur", "EU", "EURO", "ÄÖÜ", "EU1", "EUR\n"]
)
def test_a_currency_is_three_capital_letters(name: str, currency_code: str) -> None:
    amount = {"currency_code": currency_code, "minor_units": 1}
    assert wrong_names(name, amount=amount) == {"amount.currency_code"}


@pytest.mark.parametrize("name", ["RecordPayment", "RefundPayment"])
def test_an_empty_amount_is_told_what_it_lacks(name: str) -> None:
    assert wrong_names(name, amount={}) == {
        "amount.currency_code",
        "amount.minor_units",
    }


def test_an_empty_line_is_told_what_it_lacks() -> None:
    assert wrong_names("AddOrderLine", line={}) == {
        "line.product_id",
        "line.quantity",
        "line.unit_price",
    }
    assert wrong_names("PlaceOrder", lines=[wire_line(0), {}]) == {
        "lines[1].product_id",
        "lines[1].quantity",
        "lines[1].unit_price",
    }


def test_an_order_has_1_to_200_lines() -> None:
    lines = [wire_line(number) for number in range(201)]
    assert wrong("PlaceOrder", lines=lines[:200]) == {}
    assert wrong("PlaceOrder", lines=lines) == {
        "lines": "has 201 lines, at most 200 are allowed"
    }
    assert wrong_names("PlaceOrder", lines=[]) == {"lines"}


def test_of_too_many_lines_only_those_that_are_allowed_are_looked_at() -> None:
    lines = [*(wire_line(number) for number in range(199)), *[{}] * 10_000]
    assert wrong_names("PlaceOrder", lines=lines) == {
        "lines",
        "lines[199].product_id",
        "lines[199].quantity",
        "lines[199].unit_price",
    }


def test_every_line_has_a_product_of_its_own() -> None:
    lines = [wire_line(0), wire_line(1), wire_line(0), wire_line(0)]
    assert wrong("PlaceOrder", lines=lines) == {
        "lines[2].product_id": "is the product of lines[0]: each product has one line",
        "lines[3].product_id": "is the product of lines[0]: each product has one line",
    }


def test_products_that_are_wrong_are_not_called_repeated_too() -> None:
    lines = [wire_line(number, product_id="x" * 129) for number in range(2)]
    assert wrong("PlaceOrder", lines=lines) == {
        f"lines[{number}].product_id": "has 129 characters, at most 128 are allowed"
        for number in range(2)
    }


def test_an_order_has_one_currency() -> None:
    wrong_currency = wire_line(0, unit_price={"currency_code": "?", "minor_units": 1})
    dollars = wire_line(2, unit_price={"currency_code": "USD", "minor_units": 1})
    lines = [wrong_currency, wire_line(1), dollars]
    assert wrong("PlaceOrder", lines=lines) == {
        "lines[0].unit_price.currency_code": (
            "must be an ISO 4217 code, three capital letters"
        ),
        "lines[2].unit_price.currency_code": (
            "is USD, but a line before it has EUR: an order has one currency"
        ),
    }


TEXTS = st.sampled_from(["", "a", "b", "x" * 501, "\0", "EUR", "USD", ORDER_ID])
NUMBERS = st.sampled_from([-(2**31), -1, 0, 1, 10_000, 10_001])
AMOUNTS = st.fixed_dictionaries(
    {}, optional={"currency_code": TEXTS, "minor_units": NUMBERS}
)
SOME_LINES = st.fixed_dictionaries(
    {}, optional={"product_id": TEXTS, "quantity": NUMBERS, "unit_price": AMOUNTS}
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "wait_for": st.integers(-1, 4),
        "lane": st.integers(-1, 5),
        "max_wait": st.fixed_dictionaries(
            {}, optional={"seconds": NUMBERS, "nanos": NUMBERS}
        ),
    },
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "order_id": TEXTS,
    "command_id": TEXTS,
    "expected_version": NUMBERS,
    "options": OPTIONS,
    "customer_id": TEXTS,
    "lines": st.lists(SOME_LINES, max_size=4),
    "line": SOME_LINES,
    "product_id": TEXTS,
    "quantity": NUMBERS,
    "payment_id": TEXTS,
    "refund_id": TEXTS,
    "amount": AMOUNTS,
    "carrier": TEXTS,
    "tracking_number": TEXTS,
    "reason": TEXTS,
    "reason_code": st.integers(-1, 7),
}


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_whatever_is_wrong_each_field_is_named_once_and_exists(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(FORMS)))
    form = FORMS[name]
    fields = form.message.DESCRIPTOR.fields_by_name
    content = data.draw(
        st.fixed_dictionaries({}, optional={field: CHANGES[field] for field in fields})
    )
    faults = wrong_fields(form, form.message(**content))
    for field, description in faults.items():
        assert field.split(".")[0].split("[")[0] in fields
        assert description
        assert len(description) < 200
