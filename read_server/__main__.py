"""`python -m read_server`: the read server in this process."""

from eventcore.process.command import process_command
from read_server.bootstrap import serve
from read_server.settings import ReadServerSettings

main = process_command(
    "read_server",
    ReadServerSettings,
    serve,
    help="Answers queries from the read models.",
)

if __name__ == "__main__":
    main()
