"""What people type, read into what the wire carries."""

import datetime as dt
import math
import re
from collections.abc import Iterable
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from cli.money import MINOR_UNITS_MAX, format_money, parse_money
from orderes.type.v1.money_pb2 import Money
from orderes.v1.order_pb2 import OrderLine

QUANTITY_MAX = 2**31 - 1
"""What the wire can carry: int32. What an order allows, the server says."""

POSITION_MAX = VERSION_MAX = 2**63 - 1
"""What the wire can carry: int64."""
SECONDS_MAX = 86_400
"""A day: longer than anything is waited for, and no clock overflows by it."""

_CORRELATION_ID = re.compile(r"[\x20-\x7e]{1,128}")
_LINE = re.compile(r"(.*):([0-9]{1,15}):([^:]*)", re.DOTALL)


class MoneyParameter(click.ParamType[Money]):
    """An amount such as `19.99 EUR`."""

    name = "money"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Money:
        """Reads the amount."""
        try:
            amount = parse_money(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return Money(currency_code=amount.currency_code, minor_units=amount.minor_units)


class OrderLineParameter(click.ParamType[OrderLine]):
    """A line such as `book:2:19.99 EUR`.

    It is split from the right, so that a product's name may have colons of its own.
    """

    name = "product:quantity:price"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> OrderLine:
        """Reads the line."""
        match = _LINE.fullmatch(str(value))
        if match is None:
            self.fail(
                f"{value!r} is not a line: write product:quantity:price, "
                "like book:2:19.99 EUR",
                param,
                ctx,
            )
        product_id, quantity, price = match.groups()
        if int(quantity) > QUANTITY_MAX:
            self.fail(f"the quantity in {value!r} is out of range", param, ctx)
        return OrderLine(
            product_id=product_id,
            quantity=int(quantity),
            unit_price=MONEY.convert(price, param, ctx),
        )


class TimeParameter(click.ParamType[Timestamp]):
    """A time such as `2026-11-23T09:00:00Z`; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Timestamp:
        """Reads the time."""
        timestamp = Timestamp()
        try:
            time = dt.datetime.fromisoformat(str(value))
            # In UTC it may leave the years that there are.
            timestamp.FromDatetime(time if time.tzinfo else time.replace(tzinfo=dt.UTC))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time: write it like 2026-11-23 or "
                "2026-11-23T09:00:00Z",
                param,
                ctx,
            )
        return timestamp


class DayParameter(click.ParamType[str]):
    """A day such as `2026-11-23`, UTC."""

    name = "day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Reads the day."""
        try:
            return dt.date.fromisoformat(str(value)).isoformat()
        except ValueError:
            self.fail(f"{value!r} is not a day: write it like 2026-11-23", param, ctx)


class SecondsParameter(click.FloatRange):
    """A span of time in seconds, more than 0."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, max=SECONDS_MAX, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Reads the number."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):  # It is within every range, because it is never beyond.
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


class CommandIdParameter(click.ParamType[str]):
    """An idempotency key. What is one, the server says; but a key that is empty is none."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Reads the key."""
        if not value:
            self.fail("it is empty: leave it out and one is made", param, ctx)
        return str(value)


class CorrelationIdParameter(click.ParamType[str]):
    """What can travel in the metadata of a call; the library would refuse all else."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Reads the id."""
        if not _CORRELATION_ID.fullmatch(str(value)):
            self.fail("must be 1 to 128 printable ASCII characters", param, ctx)
        return str(value)


def choices(names: Iterable[str], prefix: str) -> click.Choice[str]:
    """The values of an enum of the contract, without prefix. They are shown and passed on in lower
    case, and taken in any, as the contract writes them too.
    """
    shown = [name.removeprefix(prefix).lower() for name in names]
    values = [name for name in shown if name != "unspecified"]
    return click.Choice(values, case_sensitive=False)


def money_text(money: Money) -> str:
    """The amount as people read it."""
    return format_money(money.minor_units, money.currency_code)


def sum_text(money: Money) -> str:
    """A sum as people read it: the largest that there is stands for all beyond it."""
    beyond = "at least " if money.minor_units == MINOR_UNITS_MAX else ""
    return f"{beyond}{money_text(money)}"


MONEY = MoneyParameter()
ORDER_LINE = OrderLineParameter()
TIME = TimeParameter()
DAY = DayParameter()
SECONDS = SecondsParameter()
COMMAND_ID = CommandIdParameter()
CORRELATION_ID = CorrelationIdParameter()
