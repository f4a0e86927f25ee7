"""Why an order says no: for people the next step, for programs the facts.

Reasons, rules and facts are part of the contract (`protos/orderes/v1/errors.proto`) and are stored
with refused commands. Amounts are in the minor unit of their currency.
"""

from collections.abc import Mapping, Sequence

from contexts.orders.events import Money
from eventcore.decider import Kind, Refusal


class OrderNotFound(Refusal):
    """There is no such order."""

    def __init__(self, *, order_id: str) -> None:
        super().__init__(
            kind=Kind.NOT_FOUND,
            reason="ORDER_NOT_FOUND",
            message=f"there is no order {order_id}: check the order_id, or place the "
            "order and send a new command",
            facts={"order_id": order_id},
        )


class OrderAlreadyExists(Refusal):
    """The order_id is taken."""

    def __init__(self, *, order_id: str) -> None:
        super().__init__(
            kind=Kind.ALREADY_EXISTS,
            reason="ORDER_ALREADY_EXISTS",
            message=f"there is an order {order_id} already: choose another order_id, or "
            "leave it empty and the server makes one",
            facts={"order_id": order_id},
        )


class RuleViolated(Refusal):
    """The order does not allow it. Each rule is a subclass."""

    def __init__(
        self,
        rule: str,
        message: str,
        *,
        order_id: str,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            kind=Kind.PRECONDITION,
            reason="RULE_VIOLATED",
            message=message,
            rule=rule,
            facts={"order_id": order_id, **(facts or {})},
        )


class InvalidOrderState(RuleViolated):
    """Nothing of the kind is possible in the state that the order is in."""

    def __init__(
        self, *, order_id: str, command: str, state: str, allowed_states: Sequence[str]
    ) -> None:
        super().__init__(
            "INVALID_ORDER_STATE",
            f"the order is {state}, and {command} needs one that is "
            f"{' or '.join(allowed_states)}: read the order to see what it allows now",
            order_id=order_id,
            facts={"state": state, "allowed_states": ",".join(allowed_states)},
        )


class PaymentStarted(RuleViolated):
    """The lines are fixed, because somebody has paid for them."""

    def __init__(self, *, order_id: str, paid: int, currency_code: str) -> None:
        super().__init__(
            "PAYMENT_STARTED",
            f"{paid} minor units of {currency_code} are paid, so the lines cannot change "
            "any more: cancel the order and place a new one",
            order_id=order_id,
            facts={"amount_paid": str(paid), "currency_code": currency_code},
        )


class ProductAlreadyInOrder(RuleViolated):
    """A product has one line at most."""

    def __init__(self, *, order_id: str, product_id: str) -> None:
        super().__init__(
            "PRODUCT_ALREADY_IN_ORDER",
            f"the order has product {product_id} already: change its quantity instead",
            order_id=order_id,
            facts={"product_id": product_id},
        )


class TooManyLines(RuleViolated):
    """The order is as long as orders may be."""

    def __init__(self, *, order_id: str, limit: int) -> None:
        super().__init__(
            "TOO_MANY_LINES",
            f"the order has {limit} lines, and more are not allowed: place another order "
            "for this product",
            order_id=order_id,
            facts={"limit": str(limit)},
        )


class LineNotFound(RuleViolated):
    """The order does not have the product."""

    def __init__(self, *, order_id: str, product_id: str) -> None:
        super().__init__(
            "LINE_NOT_FOUND",
            f"the order has no product {product_id}: read the order to see its lines",
            order_id=order_id,
            facts={"product_id": product_id},
        )


class LastLine(RuleViolated):
    """An order has one line at least."""

    def __init__(self, *, order_id: str, product_id: str) -> None:
        super().__init__(
            "LAST_LINE",
            f"product {product_id} is the last line, and an order keeps one at least: "
            "cancel the order instead",
            order_id=order_id,
            facts={"product_id": product_id},
        )


class CurrencyMismatch(RuleViolated):
    """An order has one currency."""

    def __init__(self, *, order_id: str, currency_code: str, given: str) -> None:
        super().__init__(
            "CURRENCY_MISMATCH",
            f"the order is in {currency_code}, and this amount is in {given}: give it in "
            f"{currency_code}",
            order_id=order_id,
            facts={"currency_code": currency_code, "given_currency_code": given},
        )


class AmountTooLarge(RuleViolated):
    """The sum of the lines would be beyond what an amount can hold."""

    def __init__(self, *, order_id: str, total: int, limit: int) -> None:
        super().__init__(
            "AMOUNT_TOO_LARGE",
            f"the order's total would be {total}, and more than {limit} minor units are "
            "not allowed: split the order",
            order_id=order_id,
            facts={"total": str(total), "limit": str(limit)},
        )


class Overpayment(RuleViolated):
    """More would be paid than is due."""

    def __init__(
        self, *, order_id: str, amount: int, due: int, currency_code: str
    ) -> None:
        super().__init__(
            "OVERPAYMENT",
            f"{amount} minor units of {currency_code} are more than the {due} that are "
            "due: record at most what is due",
            order_id=order_id,
            facts={
                "amount": str(amount),
                "due": str(due),
                "currency_code": currency_code,
            },
        )


class PaymentIdReused(RuleViolated):
    """The payment was recorded, with another amount."""

    def __init__(self, *, order_id: str, payment_id: str, recorded: Money) -> None:
        super().__init__(
            "PAYMENT_ID_REUSED",
            f"payment {payment_id} was recorded with {recorded.minor_units} minor units of "
            f"{recorded.currency_code}: if this is another payment, give it an id of its own",
            order_id=order_id,
            facts={
                "payment_id": payment_id,
                "recorded_amount": str(recorded.minor_units),
                "currency_code": recorded.currency_code,
            },
        )


class TooManyPayments(RuleViolated):
    """The order has as many payments as orders may have."""

    def __init__(self, *, order_id: str, limit: int) -> None:
        super().__init__(
            "TOO_MANY_PAYMENTS",
            f"the order has {limit} payments, and more are not allowed: cancel the order "
            "and place a new one",
            order_id=order_id,
            facts={"limit": str(limit)},
        )


class PaymentNotFound(RuleViolated):
    """The order does not have the payment."""

    def __init__(self, *, order_id: str, payment_id: str) -> None:
        super().__init__(
            "PAYMENT_NOT_FOUND",
            f"the order has no payment {payment_id}: read the order to see its payments",
            order_id=order_id,
            facts={"payment_id": payment_id},
        )


class RefundExceedsPayment(RuleViolated):
    """More would be paid back than is left of the payment."""

    def __init__(
        self,
        *,
        order_id: str,
        payment_id: str,
        amount: int,
        refundable: int,
        currency_code: str,
    ) -> None:
        super().__init__(
            "REFUND_EXCEEDS_PAYMENT",
            f"{amount} minor units of {currency_code} are more than the {refundable} that "
            f"are left of payment {payment_id}: refund at most what is left",
            order_id=order_id,
            facts={
                "payment_id": payment_id,
                "amount": str(amount),
                "refundable": str(refundable),
                "currency_code": currency_code,
            },
        )


class RefundIdReused(RuleViolated):
    """The refund was made, of another payment or with another amount."""

    def __init__(
        self, *, order_id: str, refund_id: str, payment_id: str, recorded: Money
    ) -> None:
        super().__init__(
            "REFUND_ID_REUSED",
            f"refund {refund_id} was made of payment {payment_id} with "
            f"{recorded.minor_units} minor units of {recorded.currency_code}: if this is "
            "another refund, give it an id of its own",
            order_id=order_id,
            facts={
                "refund_id": refund_id,
                "payment_id": payment_id,
                "recorded_amount": str(recorded.minor_units),
                "currency_code": recorded.currency_code,
            },
        )


class TooManyRefunds(RuleViolated):
    """The order has as many refunds as orders may have."""

    def __init__(self, *, order_id: str, limit: int) -> None:
        super().__init__(
            "TOO_MANY_REFUNDS",
            f"the order has {limit} refunds, and more are not allowed: settle the rest "
            "outside of it",
            order_id=order_id,
            facts={"limit": str(limit)},
        )
