"""`orderes serve`: one process, in this one."""

import click

import projector.__main__
import read_server.__main__
import write_server.__main__


@click.group("serve")
def serve() -> None:
    """Run one process, as a service manager would."""


serve.add_command(write_server.__main__.main, "write")
serve.add_command(projector.__main__.main, "projector")
serve.add_command(read_server.__main__.main, "read")
