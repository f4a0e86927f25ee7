"""`orderes projections rebuild`: a projection built anew, and followed until it serves."""

from typing import assert_never

import click
from rich.markup import escape

from cli.fitting import print_prose
from cli.operating import reason_option
from cli.output import console, json_text
from cli.projections.details import Details
from cli.projections.following import End, Following, Outcome
from cli.projections.port import Projecting, projects
from cli.projections.progress import displaying
from cli.projections.shown import print_projection
from cli.refused import Refused
from orderes.v1.projection_admin_service_pb2 import (
    Projection,
    RebuildProjectionRequest,
    RebuildProjectionResponse,
)


@click.command("rebuild")
@click.argument("name")
@click.option(
    "--no-wait", is_flag=True, help="Begin it, and do not wait until it serves."
)
@reason_option
@projects
def rebuild(projecting: Projecting, name: str, *, no_wait: bool, reason: str) -> None:
    """Build a projection anew, and switch to it.

    It is made beside what serves, and compared with it before it takes over; queries go
    on meanwhile. Ctrl-C leaves it running.
    """
    answer = projecting.ask(
        lambda admin: admin.RebuildProjection,
        RebuildProjectionRequest(name=name, reason=reason),
    )
    if not no_wait:
        _follow(projecting, answer.projection)
    elif projecting.as_json:
        click.echo(json_text(answer))
    else:
        console().print(f"[bold]The rebuild of {escape(name)} is under way.[/bold]")
        print_projection(answer.projection, flag=projecting.flag)
        _print_how_to_go_on(projecting, answer.projection, stderr=False)


def _follow(projecting: Projecting, begun: Projection) -> None:
    """Waits for the end of a rebuild and says what it is; whoever interrupts is told
    that only the wait has ended.
    """
    try:
        with displaying(begun.name) as display:
            end = Following(projecting, begun, display).end()
    except KeyboardInterrupt:
        click.echo("\nThe rebuild goes on; only the wait for it has ended.", err=True)
        _print_how_to_go_on(projecting, begun, stderr=True)
        click.get_current_context().exit(1)
    except Refused:
        click.echo(
            "How it ends is not known; a rebuild outlasts its projector.", err=True
        )
        raise
    if projecting.as_json:
        click.echo(json_text(RebuildProjectionResponse(projection=end.projection)))
    else:
        _print_end(end)
        print_projection(end.projection, flag=projecting.flag)
    if end.outcome is not Outcome.SERVES:
        click.get_current_context().exit(1)


def _print_end(end: End) -> None:
    name = end.projection.name
    match end.outcome:
        case Outcome.SERVES:
            text = f"Generation {end.projection.generation} of {name} serves."
            style = "bold green"
        case Outcome.STOPPED:
            text = f"The rebuild of {name} has stopped."
            style = "bold red"
        case Outcome.GONE:
            text = (
                f"The rebuild of {name} is not under way any more: somebody has given "
                "it up, or has switched back."
            )
            style = "bold red"
        case _:
            assert_never(end.outcome)
    print_prose(console(), text, style=style)


def _print_how_to_go_on(
    projecting: Projecting, begun: Projection, *, stderr: bool
) -> None:
    out = console(stderr=stderr)
    Details(out, begun, flag=projecting.flag).go_on()
