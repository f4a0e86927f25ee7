"""`orderes projections pause`, `resume`, `cancel` and `rollback`."""

import click
from google.protobuf.message import Message
from rich.markup import escape

from cli.operating import reason_option
from cli.output import console, json_text
from cli.parameters import POSITION_MAX
from cli.projections.port import Projecting, projects
from cli.projections.shown import print_projection
from orderes.v1.projection_admin_service_pb2 import (
    CancelRebuildRequest,
    PauseProjectionRequest,
    Projection,
    ResumeProjectionRequest,
    RollBackProjectionRequest,
)


@click.command("pause")
@click.argument("name")
@reason_option
@projects
def pause(projecting: Projecting, name: str, reason: str) -> None:
    """Stop a projection, and a rebuild of it, until it is resumed.

    Queries get what it has. It outlasts restarts.
    """
    answer = projecting.ask(
        lambda admin: admin.PauseProjection,
        PauseProjectionRequest(name=name, reason=reason),
    )
    done = f"[bold yellow]{escape(name)} is paused.[/bold yellow]"
    _show(projecting, answer, answer.projection, done)


@click.command("resume")
@click.argument("name")
@click.option(
    "--skip-position",
    type=click.IntRange(1, POSITION_MAX),
    metavar="N",
    help="Leave out the event at this position, on which it has stopped. The skip is "
    "kept with its reason; a rebuild tries the event again.",
)
@reason_option
@projects
def resume(
    projecting: Projecting, name: str, *, skip_position: int | None, reason: str
) -> None:
    """Go on with what is paused, or has stopped on an event."""
    answer = projecting.ask(
        lambda admin: admin.ResumeProjection,
        ResumeProjectionRequest(
            name=name, skip_position=skip_position or 0, reason=reason
        ),
    )
    without = (
        f" without the event at position {skip_position:,}" if skip_position else ""
    )
    done = f"[bold green]{escape(name)} goes on{without}.[/bold green]"
    _show(projecting, answer, answer.projection, done)


@click.command("cancel")
@click.argument("name")
@reason_option
@projects
def cancel(projecting: Projecting, name: str, reason: str) -> None:
    """Give up a rebuild that is under way.

    What serves goes on serving.
    """
    answer = projecting.ask(
        lambda admin: admin.CancelRebuild,
        CancelRebuildRequest(name=name, reason=reason),
    )
    done = f"[bold]The rebuild of {escape(name)} is given up.[/bold]"
    _show(projecting, answer, answer.projection, done)


@click.command("rollback")
@click.argument("name")
@reason_option
@projects
def roll_back(projecting: Projecting, name: str, reason: str) -> None:
    """Switch back to the generation before the last rebuild.

    It is kept for a while, and shown with the time until then.
    """
    answer = projecting.ask(
        lambda admin: admin.RollBackProjection,
        RollBackProjectionRequest(name=name, reason=reason),
    )
    generation = answer.projection.generation
    done = (
        f"[bold green]Generation {generation} of {escape(name)} serves again."
        "[/bold green]"
    )
    _show(projecting, answer, answer.projection, done)


def _show(
    projecting: Projecting, answer: Message, projection: Projection, done: str
) -> None:
    """Says what was done, and how the projection is after it."""
    if projecting.as_json:
        click.echo(json_text(answer))
        return
    console().print(done)
    print_projection(projection, flag=projecting.flag)
