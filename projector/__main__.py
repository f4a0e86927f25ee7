"""`python -m projector`: the projector in this process."""

from eventcore.process.command import process_command
from projector.bootstrap import serve
from projector.settings import ProjectorSettings

main = process_command(
    "projector",
    ProjectorSettings,
    serve,
    help="Keeps the read models at the end of the log.",
)

if __name__ == "__main__":
    main()
