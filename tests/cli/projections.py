"""Projections as a scripted projector shows them."""

from google.protobuf.timestamp_pb2 import Timestamp

from orderes.v1.projection_admin_service_pb2 import (
    ListProjectionsResponse,
    Projection,
    ProjectionState,
)

OWNER = "projector-1:4711:0190a6b2"
TIME = "2026-11-23T09:00:00Z"
SHOWN_TIME = "2026-11-23 09:00:00 UTC"


def at_time() -> Timestamp:
    time = Timestamp()
    time.FromJsonString(TIME)
    return time


def a_projection(
    name: str = "orders", *, state: str = "RUNNING", generation: int = 3
) -> Projection:
    projection = Projection(
        name=name,
        state=ProjectionState.Value(f"PROJECTION_STATE_{state}"),
        position=3_703_000,
        head_position=3_703_701,
        version=2,
        generation=generation,
        owner=OWNER,
        heartbeat_time=at_time(),
        events_per_second=1234.5,
    )
    projection.lag.FromMilliseconds(12_345)
    return projection


def a_rebuild(
    *, progress: float = 0.333, generation: int = 4, name: str = "orders"
) -> Projection:
    """A projection with a rebuild that is under way."""
    projection = a_projection(name, state="REBUILDING")
    rebuild = projection.rebuild
    rebuild.generation = generation
    rebuild.version = 2
    rebuild.position = 1_234_567
    rebuild.target_position = 3_703_701
    rebuild.progress = progress
    rebuild.events_per_second = 12_345
    rebuild.time_left.FromSeconds(3723)
    rebuild.start_time.CopyFrom(at_time())
    rebuild.reason = "wrong totals"
    return projection


def listed(*projections: Projection) -> ListProjectionsResponse:
    return ListProjectionsResponse(projections=projections)
