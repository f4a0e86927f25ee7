"""Money is typed and printed exactly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.money import EXPONENTS, Amount, format_money, parse_money

CURRENCY_CODES = st.one_of(
    st.sampled_from(sorted(EXPONENTS)),
    st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3),
)


@given(
    minor_units=st.integers(min_value=-(2**63), max_value=2**63 - 1),
    currency_code=CURRENCY_CODES,
)
def test_what_is_printed_is_read_back_as_the_same_amount(
    minor_units: int, currency_code: str
) -> None:
    text = format_money(minor_units, currency_code)

    assert parse_money(text) == Amount(minor_units, currency_code)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("19.99 EUR", Amount(1999, "EUR")),
        ("19.9 EUR", Amount(1990, "EUR")),
        ("20 EUR", Amount(2000, "EUR")),
        ("0.05EUR", Amount(5, "EUR")),
        ("500 JPY", Amount(500, "JPY")),
        ("1.234 KWD", Amount(1234, "KWD")),
        ("1.2345 CLF", Amount(12345, "CLF")),
        ("-0.01 USD", Amount(-1, "USD")),
        # A float would make 0.29 * 100 into 28 cents.
        ("0.29 EUR", Amount(29, "EUR")),
        ("92233720368547758.07 EUR", Amount(2**63 - 1, "EUR")),
    ],
)
def test_an_amount_is_read_exactly(text: str, amount: Amount) -> None:
    assert parse_money(text) == amount


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("19.999 EUR", "has 3 decimals, but EUR has 2: write it like 1.00 EUR"),
        ("500.0 JPY", "has 1 decimals, but JPY has none: write it like 1 JPY"),
        ("1.2345 KWD", "has 4 decimals, but KWD has 3: write it like 1.000 KWD"),
        ("19,99 EUR", "a point before the decimals"),
        ("19.99", "three capital letters"),
        ("19.99 eur", "three capital letters"),
        ("EUR 19.99", "like 19.99 EUR"),
        ("1e3 EUR", "write digits"),
        ("٣ EUR", "write digits"),
        ("", "is not an amount"),
        ("92233720368547758.08 EUR", "at most 92233720368547758.07 EUR"),
        ("9" * 5000 + " EUR", "at most 92233720368547758.07 EUR"),
    ],
)
def test_what_is_no_amount_is_refused_with_what_would_be(
    text: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_money(text)
