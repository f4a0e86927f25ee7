"""Connections to the servers."""

import grpc.aio

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A page of 500 long orders is beyond the 4 MiB that the library takes by default."""
RECONNECT_SECONDS_MIN = 0.1
"""Before a connection that was lost is tried again; left to itself the library waits a second, in
which every attempt of a call fails."""
RECONNECT_SECONDS_MAX = 1.0
CONNECT_SECONDS_MAX = 5.0
"""How long one try may take."""
PROBE_SECONDS = 10.0
"""How often a quiet connection is probed, so that one whose other end is gone is not kept. A server
allows 5."""
PROBE_ANSWER_SECONDS_MAX = 4.0
"""How long the answer to a probe may take."""


def open_channel(address: str) -> grpc.aio.Channel:
    """A connection of its own to a server, made with the first call."""
    return grpc.aio.insecure_channel(address, options=_options())


def _options() -> list[tuple[str, int]]:
    return [
        # One place decides what is repeated: `retrying`.
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        # A proxy that the environment names is for the web, not for servers of the house.
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
        ("grpc.initial_reconnect_backoff_ms", _milliseconds(RECONNECT_SECONDS_MIN)),
        ("grpc.max_reconnect_backoff_ms", _milliseconds(RECONNECT_SECONDS_MAX)),
        # In spite of its name it is how long a try to connect may take.
        ("grpc.min_reconnect_backoff_ms", _milliseconds(CONNECT_SECONDS_MAX)),
        ("grpc.keepalive_time_ms", _milliseconds(PROBE_SECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # The answer to a probe has this long; grpc.keepalive_timeout_ms alone leaves it a minute.
        ("grpc.http2.ping_timeout_ms", _milliseconds(PROBE_ANSWER_SECONDS_MAX)),
    ]


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
