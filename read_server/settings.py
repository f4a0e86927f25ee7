"""The settings of the read server."""

from pydantic import Field

from eventcore.process.settings import Address, ProcessSettings


class ReadServerSettings(ProcessSettings):
    """What an operator can choose."""

    # Loopback: the service has no authentication of its own.
    read_address: Address = Field(
        "127.0.0.1:50052", description="Where the QueryService listens, host:port."
    )
    read_metrics_address: Address = Field(
        "127.0.0.1:9466",
        description="Where the read server's Prometheus metrics are, host:port.",
    )
    # Each is a thread. One serves all calls of GetOrder; the others keep lists from waiting.
    read_connections: int = Field(
        4, ge=2, le=64, description="Connections to the read models."
    )
    # Each holds a batch of events, about 64 KB, while its client does not read.
    watch_streams_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Calls of WatchOrders that are under way at most.",
    )
    # Wake-ups tell of news at once; this is for one that is lost.
    read_poll_seconds: float = Field(
        1.0,
        ge=0.01,
        le=30.0,
        description="How often waiting queries look for news without being woken.",
    )
