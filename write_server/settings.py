"""The settings of the write server."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import Field

from eventcore.messages import Lane
from eventcore.process.settings import Address, ProcessSettings
from eventcore.write_administration import FullPolicy
from write_server.rules import LaneRule

Policy: TypeAlias = Literal["reject", "wait", "overflow"]
"""A `FullPolicy`, as it is typed."""


class WriteServerSettings(ProcessSettings):
    """What an operator can choose."""

    # Loopback: the service has no authentication of its own.
    write_address: Address = Field(
        "127.0.0.1:50051", description="Where the CommandService listens, host:port."
    )
    # Loopback, and a port of its own: who can reach it can stop the service.
    write_admin_address: Address = Field(
        "127.0.0.1:50054",
        description="Where the WriteAdminService listens, host:port.",
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
    full_policy: Policy = Field(
        "reject",
        description="What a full normal lane does; overflow stores commands on disk.",
    )
    full_policy_critical: Policy | None = Field(
        None,
        description="What a full critical lane does; as the normal lane if unset.",
    )
    full_policy_bulk: Policy | None = Field(
        None, description="What a full bulk lane does; as the normal lane if unset."
    )
    # Half a KB of memory each, beside what they take on disk. Beyond it nothing is taken in; what a
    # pause, a broken handler or an operator's retry stores of what is there already comes on top.
    backlog_capacity: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Commands per lane that are stored to be executed later, at most.",
    )
    queue_wait_seconds: float = Field(
        5.0,
        gt=0,
        le=30,
        description="How long the policy wait holds a call until there is room, at most.",
    )
    queue_holding_max: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Commands per lane that the policy wait holds, at most.",
    )
    # With the waits between them, five attempts outlast what passes within two seconds. Two are the
    # least: a batch that ends its process has had one of each command in it, and only then is each
    # tried alone.
    attempts_max: int = Field(
        5,
        ge=2,
        le=100,
        description="Attempts to execute a command whose handler breaks, before it is given up.",
    )
    retry_backoff_seconds: float = Field(
        0.1,
        gt=0,
        le=60,
        description="The wait before the second attempt; it doubles each time, up to 5 s.",
    )
    connection_calls_max: int = Field(
        4000,
        ge=1,
        le=1_000_000,
        description="Calls that one connection has under way at most.",
    )
    command_streams_max: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Calls of StreamCommands that are under way at most.",
    )
    # An event is read and folded in about 20 µs.
    snapshot_every_events: int = Field(
        200,
        ge=0,
        le=1_000_000,
        description="Events after which an order gets a new snapshot; 0 is never.",
    )
    # Projections are rarely further behind; from where they are, they read the log itself.
    outbox_keep_events: int = Field(
        100_000,
        ge=0,
        le=1_000_000_000,
        description="Newest events that stay in the outbox; readers further back read the log.",
    )
    # A thousand cost the next batch of commands a millisecond, half of it the fsync. A transaction
    # for a few would cost as much.
    outbox_prune_events_max: int = Field(
        1000,
        ge=100,
        le=100_000,
        description="Events that one transaction takes out of the outbox at most.",
    )
    # An fsync is shared by the batch; beyond some hundred commands there is little left to share,
    # and everyone in the batch waits for all of it.
    batch_commands_max: int = Field(
        256,
        ge=1,
        le=10_000,
        description="Commands that one transaction executes at most.",
    )
    # An order of a few lines weighs 5 KB, one of 200 lines 200 KB: some ten thousand of the one or
    # three hundred of the other. What is really taken is a third to two thirds of that, and what
    # is dropped is read again in a millisecond.
    aggregate_cache_mb: int = Field(
        64,
        ge=1,
        le=1_000_000,
        description="Memory for the orders that are kept in it, about, at most.",
    )
    aggregate_cache_max: int = Field(
        10_000,
        ge=0,
        le=10_000_000,
        description="Orders that are kept in memory at most.",
    )

    def lane_rules(self) -> Mapping[Lane, LaneRule]:
        """What holds in each lane."""
        return {
            Lane.CRITICAL: self._rule(
                self.queue_capacity_critical, self.full_policy_critical
            ),
            Lane.NORMAL: self._rule(None, None),
            Lane.BULK: self._rule(self.queue_capacity_bulk, self.full_policy_bulk),
        }

    def _rule(self, capacity: int | None, policy: Policy | None) -> LaneRule:
        return LaneRule(
            capacity=capacity or self.queue_capacity,
            full_policy=FullPolicy(policy or self.full_policy),
            backlog_capacity=self.backlog_capacity,
            holding_max=self.queue_holding_max,
            holding_seconds=self.queue_wait_seconds,
        )
