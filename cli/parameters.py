"""What people type, read into what the wire carries."""

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from cli.money import format_money, parse_money
from orderes.type.v1.money_pb2 import Money
from orderes.v1.order_pb2 import OrderLine

QUANTITY_MAX = 2**31 - 1
"""What the wire can carry: int32. What an order allows, the server says."""

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
        try:
            time = dt.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is not a time: write it like 2026-11-23 or "
                "2026-11-23T09:00:00Z",
                param,
                ctx,
            )
        if time.tzinfo is None:
            time = time.replace(tzinfo=dt.UTC)
        timestamp = Timestamp()
        timestamp.FromDatetime(time)
        return timestamp


def choices(names: Iterable[str], prefix: str) -> click.Choice[str]:
    """The values of an enum of the contract, without prefix and in lower case."""
    shown = [name.removeprefix(prefix).lower() for name in names]
    return click.Choice([name for name in shown if name != "unspecified"])


def money_text(money: Money) -> str:
    """The amount as people read it."""
    return format_money(money.minor_units, money.currency_code)


MONEY = MoneyParameter()
ORDER_LINE = OrderLineParameter()
TIME = TimeParameter()
