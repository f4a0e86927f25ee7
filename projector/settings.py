"""The settings of the projector."""

from pydantic import Field

from eventcore.process.settings import Address, ProcessSettings
from projector.runner import FRESHNESS_SECONDS, RunnerLimits


class ProjectorSettings(ProcessSettings):
    """What an operator can choose."""

    # Loopback: who can reach it can have projections stand still.
    projector_address: Address = Field(
        "127.0.0.1:50053",
        description="Where the ProjectionAdminService listens, host:port.",
    )
    projector_metrics_address: Address = Field(
        "127.0.0.1:9465",
        description="Where the projector's Prometheus metrics are, host:port.",
    )
    # A larger batch gains little, and holds up the projections beside it for longer.
    projection_batch_events_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Events that one transaction applies at most.",
    )
    # Wake-ups bring new events at once; this is for one that is lost, and for the freshness that
    # answers report, which has to be renewed.
    projection_poll_seconds: float = Field(
        1.0,
        ge=0.01,
        le=FRESHNESS_SECONDS,
        description="How often to look for events without being woken.",
    )
    # The rest is for what comes in, and for who else is on the machine.
    rebuild_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of its time that a projector gives to rebuilds, while they come nearer.",
    )
    rebuild_batch_events_max: int = Field(
        5000,
        ge=100,
        le=100_000,
        description="Events that one transaction of a rebuild applies at most.",
    )
    # A day is long enough to notice that a rebuild was a mistake. Until then each event is applied
    # to both generations.
    replaced_keep_seconds: float = Field(
        86_400.0,
        ge=0,
        le=31_536_000,
        description="How long a generation is kept for a rollback after a rebuild.",
    )

    def limits(self) -> RunnerLimits:
        """What bounds the work of the runner."""
        return RunnerLimits(
            batch_events_max=self.projection_batch_events_max,
            rebuild_events_max=self.rebuild_batch_events_max,
            rebuild_share=self.rebuild_share,
            replaced_keep_seconds=self.replaced_keep_seconds,
        )
