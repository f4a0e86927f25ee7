"""Money as people type and read it: `19.99 EUR`, `500 JPY`, `1.234 KWD`.

Exact throughout: digits become whole minor units and back, and no float is ever made.
"""

import re
from typing import NamedTuple

DEFAULT_EXPONENT = 2
"""Decimals of a currency that ISO 4217 does not list as an exception, or not at all."""

_EXCEPTIONS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
    # Metals, funds and test codes have no minor unit; they are counted whole.
    "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: dict[str, int] = {
    currency_code: exponent
    for exponent, currency_codes in _EXCEPTIONS.items()
    for currency_code in currency_codes.split()
}
"""Currencies whose minor unit is not a hundredth, with the number of their decimals."""

MINOR_UNITS_MIN, MINOR_UNITS_MAX = -(2**63), 2**63 - 1
"""What the wire can carry: int64."""
DIGITS_MAX = 40
"""More digits than any amount has; Python refuses to read numbers of thousands."""

_MONEY = re.compile(r"\s*(-?)([0-9]+)(?:\.([0-9]+))?\s*([A-Z]{3})\s*")


class Amount(NamedTuple):
    """An exact amount in the minor unit of its currency."""

    minor_units: int
    currency_code: str


def parse_money(text: str) -> Amount:
    """Reads an amount such as `19.99 EUR`; the space may be left out.

    Raises:
        ValueError: it is not an amount; the message says what would be.
    """
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not an amount of money: write digits, a point before the "
            "decimals, and the currency in three capital letters, like 19.99 EUR"
        )
    sign, whole, decimals, currency_code = match.groups(default="")
    exponent = EXPONENTS.get(currency_code, DEFAULT_EXPONENT)
    whole = whole.lstrip("0") or "0"
    if len(decimals) > exponent:
        example = format_money(10**exponent, currency_code)
        raise ValueError(
            f"{text!r} has {len(decimals)} decimals, but {currency_code} has "
            f"{exponent or 'none'}: write it like {example}"
        )
    digits = whole[:DIGITS_MAX] + decimals.ljust(exponent, "0")
    minor_units = int(sign + digits)
    if not MINOR_UNITS_MIN <= minor_units <= MINOR_UNITS_MAX:
        largest = format_money(MINOR_UNITS_MAX, currency_code)
        raise ValueError(f"{text.strip()[:60]!r} is out of range: at most {largest}")
    return Amount(minor_units, currency_code)


def format_money(minor_units: int, currency_code: str) -> str:
    """Writes an amount with every decimal that its currency has."""
    exponent = EXPONENTS.get(currency_code, DEFAULT_EXPONENT)
    sign = "-" if minor_units < 0 else ""
    digits = str(abs(minor_units)).rjust(exponent + 1, "0")
    if exponent:
        digits = f"{digits[:-exponent]}.{digits[-exponent:]}"
    return f"{sign}{digits} {currency_code}"
