"""The settings of the write server."""

from collections.abc import Mapping

from pydantic import Field

from eventcore.messages import Lane
from eventcore.process.settings import Address, ProcessSettings


class WriteServerSettings(ProcessSettings):
    """What an operator can choose."""

    # Loopback: the service has no authentication of its own.
    write_address: Address = Field(
        "127.0.0.1:50051", description="Where the CommandService listens, host:port."
    )
    write_metrics_address: Address = Field(
        "127.0.0.1:9464",
        description="Where the write server's Prometheus metrics are, host:port.",
    )
    # The bound of the queue is the bound of memory and of latency: 1000 waiting calls hold
    # about 25 MB, and are a second of work for a busy server on two cores.
    queue_capacity: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Commands that the normal lane of the queue holds.",
    )
    queue_capacity_critical: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Commands that the critical lane holds; as the normal lane if unset.",
    )
    queue_capacity_bulk: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Commands that the bulk lane holds; as the normal lane if unset.",
    )
    # An fsync is shared by the batch; beyond some hundred commands there is little left to share,
    # and everyone in the batch waits for all of it.
    batch_commands_max: int = Field(
        256,
        ge=1,
        le=10_000,
        description="Commands that one transaction executes at most.",
    )
    # A small order takes about 3 KB with its view.
    aggregate_cache_max: int = Field(
        10_000,
        ge=0,
        le=10_000_000,
        description="Orders that are kept in memory at most.",
    )

    def capacities(self) -> Mapping[Lane, int]:
        """The capacity of each lane."""
        return {
            Lane.CRITICAL: self.queue_capacity_critical or self.queue_capacity,
            Lane.NORMAL: self.queue_capacity,
            Lane.BULK: self.queue_capacity_bulk or self.queue_capacity,
        }
