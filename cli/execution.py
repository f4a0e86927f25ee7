"""`orderes pause` and `orderes resume`: whether commands are executed."""

import click
from rich.markup import escape

from cli.administration import Administering, administers
from cli.operating import reason_option
from cli.output import console, json_text
from cli.program import own_command
from orderes.v1.write_admin_service_pb2 import (
    PauseExecutionRequest,
    ResumeExecutionRequest,
)


@click.command("pause")
@reason_option
@administers
def pause(administering: Administering, reason: str) -> None:
    """Stop executing commands; what comes in is stored, up to a bound.

    It outlasts restarts, until `orderes resume`.
    """
    answer = administering.ask(
        lambda admin: admin.PauseExecution, PauseExecutionRequest(reason=reason)
    )
    if administering.as_json:
        click.echo(json_text(answer))
        return
    out = console()
    out.print(f"[bold yellow]Execution is paused:[/bold yellow] {escape(reason)}")
    out.print("  Commands are stored and answered ACCEPTED, up to the backlog's bound.")
    out.print(f"Go on: {own_command()} resume{administering.flag} --reason …")


@click.command("resume")
@reason_option
@administers
def resume(administering: Administering, reason: str) -> None:
    """Execute commands again, first those that were stored meanwhile."""
    answer = administering.ask(
        lambda admin: admin.ResumeExecution, ResumeExecutionRequest(reason=reason)
    )
    if administering.as_json:
        click.echo(json_text(answer))
        return
    out = console()
    out.print("[bold green]Commands are executed.[/bold green]")
    look = f"{own_command()} status{administering.flag}"
    out.print(f"See what is left of the backlog: {look}")
