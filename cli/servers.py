"""The servers that the shared options of a command line name."""

import click
from google.protobuf.duration_pb2 import Duration

from cli.client import Server
from cli.shared_options import (
    TIMEOUT_SECONDS,
    WAIT_MARGIN_SECONDS,
    WAIT_SECONDS_MAX,
    kept,
)


def server_of(ctx: click.Context, address: str, *, retrying: bool = True) -> Server:
    """The server at the address that a shared option names, with time for its answer."""
    timeout_seconds = kept(ctx, "timeout_seconds")
    if timeout_seconds is None:
        wait_seconds = min(kept(ctx, "max_wait_seconds") or 0, WAIT_SECONDS_MAX)
        timeout_seconds = max(TIMEOUT_SECONDS, wait_seconds + WAIT_MARGIN_SECONDS)
    return Server(
        address=kept(ctx, address),
        timeout_seconds=timeout_seconds,
        correlation_id=kept(ctx, "correlation_id") or "",
        retrying=retrying,
    )


def duration_of(seconds: float | None) -> Duration | None:
    """Seconds as the wire carries them."""
    if seconds is None:
        return None
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=microseconds * 1000)
