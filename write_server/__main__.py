"""`python -m write_server`: the write server in this process."""

from eventcore.process.command import process_command
from write_server.bootstrap import serve
from write_server.settings import WriteServerSettings

main = process_command(
    "write_server",
    WriteServerSettings,
    serve,
    help="Takes commands over gRPC and stores what happened.",
)

if __name__ == "__main__":
    main()
