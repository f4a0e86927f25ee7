"""A refusal as people read it: what is wrong, where to mend it, what to do next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import click
import grpc
from rich.markup import escape

from cli.money import format_money
from cli.output import console, json_text, print_facts, print_table, table
from cli.program import own_command
from orderes.client.failure import Failure, FieldFault

FLAGS: Mapping[str, str] = {
    "order_id": "ORDER_ID",
    "customer_id": "--customer",
    "lines": "--line",
    "line": "--line",
    "product_id": "--product",
    "quantity": "--quantity",
    "payment_id": "--payment-id",
    "refund_id": "--refund-id",
    "amount": "--amount",
    "carrier": "--carrier",
    "tracking_number": "--tracking-number",
    "reason": "--reason",
    "command_id": "--command-id",
    "expected_version": "--expected-version",
    "options.wait_for": "--wait-for",
    "options.max_wait": "--max-wait-seconds",
    "options.lane": "--lane",
    "options.validate_only": "--validate-only",
    "consistency.min_position": "--min-position",
    "consistency.max_staleness": "--max-staleness-seconds",
    "consistency.max_wait": "--max-wait-seconds",
    "consistency.allow_stale": "--allow-stale",
    "consistency.store_id": "--store-id",
    "version": "--as-of-version",
    "time": "--as-of-time",
    "states": "--state",
    "placed_since": "--placed-since",
    "placed_before": "--placed-before",
    "order_by": "--order-by",
    "page_size": "--page-size",
    "page_token": "--page-token",
    "x-correlation-id": "--correlation-id",
    "max_wait": "--max-wait-seconds",
    "command_ids": "COMMAND_ID",
    "since_day": "--since",
    "until_day": "--until",
    "after_position": "--after-position",
    "order_ids": "--order",
    "event_types": "--type",
    "checkpoint_interval": "--mark-seconds",
    "store_id": "--store-id",
    "name": "NAME",
    "skip_position": "--skip-position",
}
"""Which flag a field of a request is typed with."""

NEXT_STEPS: Mapping[str, str] = {
    "INVALID_FIELDS": "mend what is named above and send it again.",
    "COMMAND_ID_REUSED": "leave --command-id out: a new one is made.",
    "COMMAND_QUEUE_FULL": "nothing was stored: {wait}send {again}.",
    "ORDER_NOT_FOUND": "look at the id, or at `{program} order list`.",
    "ORDER_ALREADY_EXISTS": "leave --order-id out: a new one is made.",
    "VERSION_MISMATCH": "read it (`{look}`), decide again, and send a new command.",
    "RULE_VIOLATED": "see where the order is (`{look}`). This answer is stored with "
    "its command_id: another attempt needs a new one.",
    "STORE_MISMATCH": "the data is another than before: leave --store-id and the "
    "position out.",
    "PROJECTION_LAGGING": "{wait}ask again; if it lasts, `{program} projections` shows "
    "why.",
    "SHUTTING_DOWN": "{wait}send {again}.",
    "STORE_UNAVAILABLE": "{wait}send {again}: what became of it is not known.",
    "INTERNAL": "the server's log tells more under the correlation_id. What became of "
    "it is not known: send {again}.",
    "TOO_MANY_CALLS": "nothing was stored: {wait}send {again}.",
    "COMMAND_NOT_FOUND": "it may still be on its way: only sending the command again, "
    "with its command_id, settles that.",
    "COMMAND_FAILED": "tell an operator, who sees it with `{program} commands failed` "
    "and can have it executed again; send {again} to see what became of it.",
    "VERSION_OUT_OF_RANGE": "`{program} order history` shows which versions there are.",
    "PROJECTION_NOT_FOUND": "`{program} projections` names those that there are.",
    "WRONG_PROJECTION_STATE": "`{program} projections` shows what it is doing.",
    "COMMAND_DISCARDED": "this answer is stored with its command_id: another attempt "
    "needs a new one.",
}
"""What to do, by the reason that the server gives."""

NEXT_STEPS_OF_OPERATORS: Mapping[str, str] = {
    "COMMAND_NOT_FOUND": "nothing was changed: `{program} commands failed` has the ids.",
    "STORE_UNAVAILABLE": "whether it was done is not known: {wait}send it again, which "
    "does no harm.",
    "SHUTTING_DOWN": "{wait}send it again.",
    "INTERNAL": "the server's log tells more under the correlation_id.",
}
"""Where what an operator does wants another next step than a command."""

NEXT_STEPS_OF_QUERIES: Mapping[str, str] = {
    "ORDER_NOT_FOUND": "look at the id, or at `{program} order list`; right after "
    "placing it, give the --min-position that its receipt shows.",
    "STORE_UNAVAILABLE": "{wait}ask again.",
    "SHUTTING_DOWN": "{wait}ask again.",
    "TOO_MANY_CALLS": "{wait}ask again.",
    "INTERNAL": "the server's log tells more under the correlation_id.",
}
"""Where a query wants another next step than a command."""

NEXT_STEPS_OF_CODES: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.UNAVAILABLE: "no server answers at {address}. Start one with "
    "`{program} up`, or name where it listens with {address_flag}.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "nothing came from {address} in time. See "
    "whether a server listens there (`{program} up` starts one), or give it longer "
    "with --timeout-seconds.",
    grpc.StatusCode.UNIMPLEMENTED: "what listens at {address} is another service: "
    "name the right one with {address_flag}.",
}
"""What to do where the answer is the library's own, and has no reason."""

NO_ANSWER = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
"""Codes that, without a reason of the service, mean that it was not heard."""

AMOUNTS = {"amount", "amount_paid", "due", "recorded_amount", "refundable", "total"}
"""Facts in the minor unit of the currency_code that is among the facts."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_PATH = re.compile(
    r"(?P<name>[A-Za-z_-]+)(?:\[(?P<index>[0-9]+)\])?(?:\.(?P<rest>.+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent where: what the next step is made of."""

    address: str
    address_flag: str
    command_id: str = ""
    """Empty for what is no command."""
    operation: bool = False
    """It is what an operator does."""
    order_id: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Where fields are typed otherwise than `FLAGS` says."""
    next_steps: Mapping[str, str] = field(default_factory=dict)
    """Where the next step is another than for others of its kind."""


class Refused(click.ClickException):
    """The server said no, or said nothing. Exit code 1."""

    def __init__(self, failure: Failure, sent: Sent, *, as_json: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.sent = sent
        self.as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        """Prints the refusal to stderr."""
        if self.as_json:
            click.echo(json_text(self.failure.status), err=True)
        else:
            print_failure(self.failure, self.sent)


def may_pass(failure: Failure) -> bool:
    """Whether the same call may succeed later, without anybody mending anything."""
    if failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # Without a reason of the service it is too much for the library, and stays so.
        return bool(failure.reason)
    return failure.code in NO_ANSWER


def print_failure(failure: Failure, sent: Sent) -> None:
    """Says what is wrong, where to mend it, and what to do next."""
    err = console(stderr=True)
    parts = [failure.code.name, failure.reason, failure.rule]
    title = " · ".join(part for part in parts if part)
    answered = failure.reason or failure.code not in NO_ANSWER
    heading = "Refused" if answered else "No answer"
    err.print(f"[bold red]{heading}[/bold red]  {title}")
    err.print(f"  {escape(failure.message)}")
    if failure.field_faults:
        faults = table("flag", "field", "~what is wrong")
        for fault in failure.field_faults:
            flag = flag_of(fault, sent)
            faults.add_row(flag, escape(fault.field), escape(fault.description))
        print_table(err, faults)
    print_facts(err, sorted(shown_facts(failure.facts).items()))
    err.print(f"Next: {escape(next_step(failure, sent))}")


def shown_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts of a refusal as people read them: amounts as money, without the rule."""
    currency_code = facts.get("currency_code", "")

    def shown(name: str, value: str) -> str:
        if not currency_code or name not in AMOUNTS or not _INTEGER.fullmatch(value):
            return value
        return format_money(int(value), currency_code)

    return {name: shown(name, value) for name, value in facts.items() if name != "rule"}


def flag_of(fault: FieldFault, sent: Sent) -> str:
    """The flag with which a field is typed: `--line (2nd)` for `lines[1].quantity`."""
    match = _PATH.fullmatch(fault.field)
    if match is None:
        return ""
    flags = {**FLAGS, **sent.flags}
    if match["name"] in {"options", "consistency"}:
        return flags.get(fault.field, "")
    flag = flags.get(match["name"], "")
    if flag and match["index"] is not None:
        return f"{flag} ({_ordinal(int(match['index']) + 1)})"
    return flag


def next_step(failure: Failure, sent: Sent) -> str:
    """What to do about a failure."""
    steps = {**_steps(sent), **sent.next_steps}
    step = steps.get(failure.reason) or NEXT_STEPS_OF_CODES.get(
        failure.code, "see the server's log."
    )
    repeat = f"--command-id {sent.command_id}"
    again = f"the same again with {repeat}" if sent.command_id else "the same again"
    settle = ""
    if sent.command_id and not failure.reason:
        settle = f" What became of it is not known: send {again} to settle it."
    seconds = failure.retry_delay_seconds
    return (
        step.format(
            again=again,
            wait=f"wait {seconds:g} s, then " if seconds else "",
            look=f"{own_command()} order get {sent.order_id}".rstrip(),
            program=own_command(),
            address=sent.address,
            address_flag=sent.address_flag,
        )
        + settle
    )


def _steps(sent: Sent) -> Mapping[str, str]:
    if sent.command_id:
        return NEXT_STEPS
    if sent.operation:
        return {**NEXT_STEPS, **NEXT_STEPS_OF_OPERATORS}
    return {**NEXT_STEPS, **NEXT_STEPS_OF_QUERIES}


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else endings.get(number % 10, 'th')}"
