"""The `orderes` command."""

from importlib import import_module

import click

from cli.program import release

COMMANDS = {
    "up": "cli.up:up",
    "serve": "cli.serve:serve",
    "order": "cli.order:order",
    "status": "cli.write_status:status",
    "commands": "cli.failed_commands:commands",
    "pause": "cli.execution:pause",
    "resume": "cli.execution:resume",
    "verify": "cli.verify:verify",
    "projections": "cli.projections.command:projections",
    "demo": "cli.demo.command:demo",
}
"""Each is imported only when it is asked for: reading an order needs no server's code."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Imports the command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(release(), prog_name="orderes")
def main() -> None:
    """An order service built on Event Sourcing and CQRS, spoken to over gRPC."""


if __name__ == "__main__":
    main(prog_name="orderes")
