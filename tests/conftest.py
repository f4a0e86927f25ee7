"""What holds for every test."""

from collections.abc import Iterator

import grpc.aio
import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A test fails if it blocks the event loop: other threads may block."""
    with blockbuster_ctx() as blockbuster:
        # `create_async_engine` makes the path of a SQLite file absolute, which touches no disk.
        blockbuster.functions["os.path.abspath"].can_block_in(
            "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
        )
        yield blockbuster


@pytest.fixture(autouse=True, scope="session")
def plain_log() -> None:
    """Keeps log lines of a fault short: drawing its locals takes longer than most tests."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )


@pytest.fixture(autouse=True, scope="session")
def grpc_stays_up() -> None:
    """Keeps the poller of gRPC between tests.

    The library stops it with the last of its objects. That may be garbage of a test whose event
    loop is closed; stopping then fails half-way and leaves sockets open.
    """
    grpc.aio.init_grpc_aio()
