"""What `orderes up` says once everything serves."""

from rich.markup import escape

from cli.output import console, print_table, table
from cli.program import own_command
from cli.shared_options import ADMIN_ADDRESS, READ_ADDRESS, WRITE_ADDRESS
from cli.up_settings import PROCESSES, UpSettings


def print_banner(settings: UpSettings) -> None:
    """Says where everything listens, where the data is, and what to type next."""
    out = console()
    rows = table("process", "gRPC, health, reflection", "metrics")
    for process in PROCESSES:
        rows.add_row(
            process.name,
            str(getattr(settings, process.address)),
            f"http://{getattr(settings, process.metrics_address)}/metrics",
        )
        if process.admin_address is not None:
            admin = str(getattr(settings, process.admin_address))
            rows.add_row("  for operators", admin, "")
    data_dir = settings.data_dir.absolute()
    out.print("\n[bold green]OrderES serves.[/bold green]")
    out.print()
    print_table(out, rows)
    out.print(f"\nThe data is in {escape(str(data_dir))}")
    out.print("\nType next, in another terminal:\n")
    for line in next_lines(settings):
        out.print(f"  {escape(line)}")
    out.print("\nCtrl-C stops it; nothing that was answered is lost.\n")


def next_lines(settings: UpSettings) -> list[str]:
    """Lines that work in another terminal, started in the same directory."""
    program = own_command()
    write = settings.write_address
    read = settings.read_address
    admin = settings.write_admin_address
    flag = "" if write == WRITE_ADDRESS else f" --write-address {write}"
    read_flag = "" if read == READ_ADDRESS else f" --read-address {read}"
    admin_flag = "" if admin == ADMIN_ADDRESS else f" --admin-address {admin}"
    return [
        f'{program} order place --customer c-1 --line "book:2:19.99 EUR"{flag}',
        f"{program} order list{read_flag}",
        f"{program} status{admin_flag}",
        f"grpcurl -plaintext {write} list",
        f"grpcurl -plaintext {write} describe orderes.v1.CommandService",
        f"{program} demo",
    ]
