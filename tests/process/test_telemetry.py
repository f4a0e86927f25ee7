"""The names and labels of metrics: dashboards and alarms hang on them."""

import pytest
from prometheus_client import CollectorRegistry

from eventcore.messages import Lane
from eventcore.telemetry import (
    CommandOutcome,
    ProjectionMetrics,
    RpcMetrics,
    WriteMetrics,
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_rpcs_are_timed_by_method_and_code(registry: CollectorRegistry) -> None:
    metrics = RpcMetrics(registry)
    metrics.observe("/a.B/C", "OK", 0.5)
    metrics.observe("/a.B/C", "OK", 1.5)
    labels = {"method": "/a.B/C", "code": "OK"}
    assert registry.get_sample_value("orderes_rpc_duration_seconds_count", labels) == 2
    assert registry.get_sample_value("orderes_rpc_duration_seconds_sum", labels) == 2.0


def test_a_lane_shows_what_its_queue_holds_when_it_is_asked(
    registry: CollectorRegistry,
) -> None:
    held = ["one"]
    WriteMetrics(registry).watch_lane(
        Lane.BULK,
        capacity=5,
        depth=lambda: len(held),
        backlog=lambda: 3 * len(held),
        holding=lambda: 4 * len(held),
    )
    held.append("two")
    labels = {"lane": "bulk"}
    assert registry.get_sample_value("orderes_command_backlog", labels) == 6
    assert registry.get_sample_value("orderes_command_queue_holding", labels) == 8
    assert registry.get_sample_value("orderes_command_queue_depth", labels) == 2
    assert registry.get_sample_value("orderes_command_queue_capacity", labels) == 5


def test_commands_are_counted_by_type_and_outcome(registry: CollectorRegistry) -> None:
    metrics = WriteMetrics(registry)
    for _ in range(3):
        metrics.command_ended("PlaceOrder", CommandOutcome.COMMITTED)
    metrics.command_ended("PlaceOrder", CommandOutcome.REFUSED)
    name = "orderes_commands_total"
    labels = {"type": "PlaceOrder"}
    assert registry.get_sample_value(name, labels | {"outcome": "committed"}) == 3
    assert registry.get_sample_value(name, labels | {"outcome": "refused"}) == 1


def test_refusals_are_counted_by_reason_rule_and_lane(
    registry: CollectorRegistry,
) -> None:
    metrics = WriteMetrics(registry)
    metrics.command_refused(
        reason="RULE_VIOLATED", rule="OVERPAYMENT", lane=Lane.NORMAL
    )
    for _ in range(2):
        metrics.command_refused(reason="COMMAND_QUEUE_FULL", lane=Lane.BULK)
    name = "orderes_refusals_total"
    ruled = {"reason": "RULE_VIOLATED", "rule": "OVERPAYMENT", "lane": "normal"}
    full = {"reason": "COMMAND_QUEUE_FULL", "rule": "", "lane": "bulk"}
    assert registry.get_sample_value(name, ruled) == 1
    assert registry.get_sample_value(name, full) == 2


def test_a_commit_counts_its_commands_events_and_seconds(
    registry: CollectorRegistry,
) -> None:
    WriteMetrics(registry).batch_committed(commands=10, events=12, seconds=0.002)
    assert registry.get_sample_value("orderes_commit_batch_commands_sum") == 10
    assert registry.get_sample_value("orderes_commit_seconds_count") == 1
    assert registry.get_sample_value("orderes_events_appended_total") == 12


def test_what_is_taken_out_of_the_outbox_is_counted(
    registry: CollectorRegistry,
) -> None:
    metrics = WriteMetrics(registry)
    metrics.outbox_pruned(1000)
    metrics.outbox_pruned(20)
    assert registry.get_sample_value("orderes_outbox_pruned_total") == 1020


class SomeFigures:
    def position(self) -> float:
        return 7

    def head_position(self) -> float:
        return 9

    def lag_seconds(self) -> float:
        return 0.5

    def failed(self) -> float:
        return 1

    def paused(self) -> float:
        return 0

    def skipped_events(self) -> float:
        return 2

    def progress(self) -> float:
        return 0.25


def test_a_projection_shows_where_it_is_and_how_fast_it_goes(
    registry: CollectorRegistry,
) -> None:
    metrics = ProjectionMetrics(registry)
    metrics.watch_projection("orders", SomeFigures())
    metrics.batch_applied("orders", events=7, seconds=0.01)
    shown = {
        name: registry.get_sample_value(
            f"orderes_projection_{name}", {"projection": "orders"}
        )
        for name in (
            "position",
            "head_position",
            "lag_seconds",
            "failed",
            "paused",
            "skipped_events",
            "rebuild_progress",
            "events_total",
            "batch_seconds_count",
        )
    }
    assert shown == {
        "position": 7,
        "head_position": 9,
        "lag_seconds": 0.5,
        "failed": 1,
        "paused": 0,
        "skipped_events": 2,
        "rebuild_progress": 0.25,
        "events_total": 7,
        "batch_seconds_count": 1,
    }
