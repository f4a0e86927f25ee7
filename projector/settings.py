"""The settings of the projector."""

from pydantic import Field

from eventcore.process.settings import Address, ProcessSettings
from projector.runner import FRESHNESS_SECONDS


class ProjectorSettings(ProcessSettings):
    """What an operator can choose."""

    projector_address: Address = Field(
        "127.0.0.1:50053",
        description="Where the projector's health and reflection are, host:port.",
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
