"""`orderes projections`: how the read models are, and what becomes of them."""

import click

from cli.groups import InOrder
from cli.output import json_text
from cli.projections.changes import cancel, pause, resume, roll_back
from cli.projections.port import PROJECTOR
from cli.projections.rebuild import rebuild
from cli.projections.shown import print_projections
from orderes.v1.projection_admin_service_pb2 import ListProjectionsRequest

SUBCOMMANDS = (pause, resume, rebuild, cancel, roll_back)


@click.group("projections", cls=InOrder, invoke_without_command=True)
@PROJECTOR.options
@click.pass_context
def projections(ctx: click.Context) -> None:
    """Show how the read models are, or pause, resume and rebuild one.

    Without a command it shows each with its position, how far it is behind, and what
    to do where something is wrong.
    """
    if ctx.invoked_subcommand is not None:
        return
    operating = PROJECTOR.operating(ctx)
    answer = operating.ask(
        lambda admin: admin.ListProjections, ListProjectionsRequest()
    )
    if operating.as_json:
        click.echo(json_text(answer))
    else:
        print_projections(answer.projections, flag=operating.flag)


for subcommand in SUBCOMMANDS:
    projections.add_command(subcommand)
