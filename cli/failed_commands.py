"""`orderes commands`: what failed by a fault of the server, and what becomes of it."""

from collections.abc import Callable, Iterator, Sequence

import click
from rich.markup import escape

from cli.administration import Administering, administers
from cli.operating import reason_option
from cli.output import (
    console,
    json_text,
    print_facts,
    print_page_end,
    print_table,
    table,
    time_text,
)
from cli.receipt import error_facts, stage_text
from cli.shared_options import F, paging_options, with_options
from orderes.v1.command_pb2 import Command, CommandStage
from orderes.v1.write_admin_service_pb2 import (
    DiscardFailedCommandsRequest,
    DiscardFailedCommandsResponse,
    FailedCommand,
    ListFailedCommandsRequest,
    ListFailedCommandsResponse,
    RetryFailedCommandsRequest,
    RetryFailedCommandsResponse,
)

IDS_MAX = 100
"""Ids that one call may have: all of them are done, or none."""
PAGE_SIZE_MAX = 500
"""Most that the server gives at once."""
CAUSE = "cause"
"""The fact of a failed command that says what broke."""


@click.group("commands")
def commands() -> None:
    """See the commands that failed, and have them executed again or give them up."""


@commands.command("failed")
@click.option("--all", "whole", is_flag=True, help="Every page, not only the first.")
@paging_options
@administers
def failed(
    administering: Administering, *, whole: bool, page_size: int, page_token: str
) -> None:
    """List the failed commands, newest first; with --json also what they ask for."""
    request = ListFailedCommandsRequest(page_size=page_size, page_token=page_token)
    answer = ListFailedCommandsResponse()
    for page in _pages(administering, request):
        answer.failed_commands.extend(page.failed_commands)
        answer.next_page_token = page.next_page_token
        if not whole:
            break
    if administering.as_json:
        click.echo(json_text(answer))
        return
    if not answer.failed_commands:
        console().print("No failed commands.")
    for failure in answer.failed_commands:
        _print_failed(failure)
    print_page_end(answer.next_page_token)


def _changes_failed(function: F) -> F:
    return with_options(
        function,
        click.argument("command_ids", nargs=-1, metavar="[COMMAND_ID]..."),
        click.option("--all", "whole", is_flag=True, help="Every failed command."),
        reason_option,
    )


@commands.command("retry")
@_changes_failed
@administers
def retry(
    administering: Administering,
    command_ids: tuple[str, ...],
    *,
    whole: bool,
    reason: str,
) -> None:
    """Have failed commands executed again. One that is not failed is left as it is."""

    def send(ids: Sequence[str]) -> Sequence[Command]:
        request = RetryFailedCommandsRequest(command_ids=ids, reason=reason)
        return administering.ask(
            lambda admin: admin.RetryFailedCommands, request
        ).commands

    def show(changed: Sequence[Command]) -> None:
        if administering.as_json:
            click.echo(json_text(RetryFailedCommandsResponse(commands=changed)))
        else:
            _print_changed(
                changed, CommandStage.COMMAND_STAGE_ACCEPTED, "will be executed again"
            )

    ids = _named(administering, command_ids, whole=whole)
    _change(ids, send, show)


@commands.command("discard")
@_changes_failed
@click.option("--yes", is_flag=True, help="Do not ask before giving up all of them.")
@administers
def discard(
    administering: Administering,
    command_ids: tuple[str, ...],
    *,
    whole: bool,
    reason: str,
    yes: bool,
) -> None:
    """Give failed commands up for good. One that is not failed is left as it is."""

    def send(ids: Sequence[str]) -> Sequence[Command]:
        request = DiscardFailedCommandsRequest(command_ids=ids, reason=reason)
        return administering.ask(
            lambda admin: admin.DiscardFailedCommands, request
        ).commands

    def show(changed: Sequence[Command]) -> None:
        if administering.as_json:
            click.echo(json_text(DiscardFailedCommandsResponse(commands=changed)))
        else:
            _print_changed(
                changed, CommandStage.COMMAND_STAGE_DISCARDED, "given up for good"
            )

    ids = _named(administering, command_ids, whole=whole)
    if whole and ids and not yes:
        question = f"Give up {_counted(len(ids))} for good?"
        click.confirm(question, abort=True, err=True)
    _change(ids, send, show)


def _pages(
    administering: Administering, request: ListFailedCommandsRequest
) -> Iterator[ListFailedCommandsResponse]:
    """The page that is asked for, and those behind it."""
    while True:
        page = administering.ask(lambda admin: admin.ListFailedCommands, request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _named(
    administering: Administering, command_ids: Sequence[str], *, whole: bool
) -> list[str]:
    """The ids to act on, each once."""
    if whole == bool(command_ids):
        raise click.UsageError("name the commands, or give --all")
    if not whole:
        return list(dict.fromkeys(command_ids))
    # All are found before the first is changed: a change would fail again while it lists.
    request = ListFailedCommandsRequest(page_size=PAGE_SIZE_MAX)
    return [
        failure.command.command_id
        for page in _pages(administering, request)
        for failure in page.failed_commands
    ]


def _change(
    command_ids: Sequence[str],
    send: Callable[[Sequence[str]], Sequence[Command]],
    show: Callable[[Sequence[Command]], None],
) -> None:
    """Sends the ids, as many at once as a call may have, and shows what was done.

    Raises:
        Refused: the server said no, or did not answer. What was done before is shown.
    """
    changed: list[Command] = []
    try:
        for start in range(0, len(command_ids), IDS_MAX):
            if start:
                click.echo(f"{start:,} of {len(command_ids):,} done", err=True)
            changed.extend(send(command_ids[start : start + IDS_MAX]))
    except click.ClickException:
        if changed:
            show(changed)
        raise
    show(changed)


def _print_failed(failure: FailedCommand) -> None:
    """A command and why it failed, in lines of their own: ids are long."""
    command = failure.command
    facts = dict(error_facts(command.error))
    out = console()
    out.print(
        f"[bold]{escape(command.type)}[/bold]  {escape(command.command_id)}",
    )
    print_facts(
        out,
        [
            ("order", command.order_id),
            ("why", facts.get(CAUSE, command.error.message)),
            ("attempts", str(command.attempts)),
            ("given up", f"{time_text(failure.fail_time)} UTC"),
            ("correlation_id", command.correlation_id),
        ],
    )
    out.print()


def _print_changed(changed: Sequence[Command], stage: int, outcome: str) -> None:
    out = console()
    if not changed:
        out.print("No failed commands.")
        return
    rows = table("command_id", "type", "stage")
    for command in changed:
        rows.add_row(
            escape(command.command_id), escape(command.type), stage_text(command)
        )
    print_table(out, rows)
    done = sum(command.stage == stage for command in changed)
    out.print()
    if done:
        out.print(f"{_counted(done)} {outcome}.")
    if done < len(changed):
        out.print(f"{_counted(len(changed) - done)} left alone: not failed.")


def _counted(number: int) -> str:
    return f"{number:,} command{'' if number == 1 else 's'}"
