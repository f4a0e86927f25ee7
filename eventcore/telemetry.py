"""The metrics of every process: names, labels and buckets, in one place.

Labels come from closed sets (methods and handlers that the code registers, lanes, reasons, rules,
projections), so that no request can make a new time series. Children are resolved once and kept:
what runs for every command is one dictionary lookup and one addition. What can be read when it is
asked for (`watch_…`) costs the hot path nothing.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from eventcore.messages import CommandRecord, Lane

UNKNOWN_METHOD = "unknown"
"""The one label of all methods that the server does not have."""

RPC_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
BATCH_COMMANDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class CommandOutcome(Enum):
    """What became of a command, as it is counted."""

    COMMITTED = "committed"
    """Executed and stored; also when there was nothing to do."""
    REFUSED = "refused"
    """The domain said no, and the refusal is stored."""
    ACCEPTED = "accepted"
    """Stored, and executed later."""
    VALIDATED = "validated"
    """It was asked what would become of it."""
    FAILED = "failed"
    """Broken by a fault of the server, and kept for an operator; or given up by one."""
    DEDUPLICATED = "deduplicated"
    """Answered with the stored outcome of an earlier call."""
    NOT_ACCEPTED = "not_accepted"
    """An id that was used, no room, or the server drains: nothing is stored."""
    MALFORMED = "malformed"
    """Its form is wrong: nothing was looked up, nothing is stored."""
    ABANDONED = "abandoned"
    """Its caller went away: withdrawn if it was not yet taken, executed unheard if it was."""
    UNKNOWN = "unknown"
    """A fault of the server or of its store: nobody knows whether it took effect."""


class RpcMetrics:
    """How long RPCs take, by method and status code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._duration = Histogram(
            "orderes_rpc_duration_seconds",
            "Duration of RPCs, from the parsed headers to the status.",
            ("method", "code"),
            buckets=RPC_SECONDS,
            registry=registry,
        )
        self._children: dict[tuple[str, str], Histogram] = {}

    def observe(self, method: str, code: str, seconds: float) -> None:
        """Records an RPC that has ended.

        Args:
            method: One that the server has, as in "/package.Service/Method", or `UNKNOWN_METHOD`.
            code: Name of its status code, as in "OK".
            seconds: Its duration.
        """
        child = self._children.get((method, code))
        if child is None:
            child = self._duration.labels(method, code)
            self._children[method, code] = child
        child.observe(seconds)


class WriteMetrics:
    """The command queue and the writer behind it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = Gauge(
            "orderes_command_queue_depth",
            "Commands that hold a slot of the lane.",
            ("lane",),
            registry=registry,
        )
        self._capacity = Gauge(
            "orderes_command_queue_capacity",
            "Slots of the lane.",
            ("lane",),
            registry=registry,
        )
        self._backlog = Gauge(
            "orderes_command_backlog",
            "Commands of the lane that are stored and not yet executed.",
            ("lane",),
            registry=registry,
        )
        self._holding = Gauge(
            "orderes_command_queue_holding",
            "Commands held back until the lane has room.",
            ("lane",),
            registry=registry,
        )
        self._paused = Gauge(
            "orderes_execution_paused",
            "1 while the execution of commands is paused, otherwise 0.",
            registry=registry,
        )
        self._failed = Gauge(
            "orderes_commands_failed",
            "Commands that were given up and wait for an operator.",
            registry=registry,
        )
        self._executed_later = Counter(
            "orderes_commands_executed_later",
            "Commands that were stored before they were executed, by what became of them; "
            "accepted are attempts that broke and are made again.",
            ("type", "outcome"),
            registry=registry,
        )
        self._commands = Counter(
            "orderes_commands",
            "Commands by what became of them.",
            ("type", "outcome"),
            registry=registry,
        )
        self._refusals = Counter(
            "orderes_refusals",
            "Commands that were turned away: by the domain, or for want of room "
            "(COMMAND_QUEUE_FULL). The rule is empty unless the reason is RULE_VIOLATED.",
            ("reason", "rule", "lane"),
            registry=registry,
        )
        self._batch_commands = Histogram(
            "orderes_commit_batch_commands",
            "Commands per commit.",
            buckets=BATCH_COMMANDS,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "orderes_commit_seconds",
            "From taking a batch to having its outcomes on disk.",
            buckets=COMMIT_SECONDS,
            registry=registry,
        )
        self._events_appended = Counter(
            "orderes_events_appended",
            "Events that were committed to the log.",
            registry=registry,
        )
        self._outbox_pruned = Counter(
            "orderes_outbox_pruned",
            "Events that were taken out of the outbox. The log keeps them.",
            registry=registry,
        )
        self._command_children: dict[tuple[str, CommandOutcome], Counter] = {}
        self._refusal_children: dict[tuple[str, str, Lane], Counter] = {}

    def watch_lane(
        self,
        lane: Lane,
        *,
        capacity: int,
        depth: Callable[[], float],
        backlog: Callable[[], float],
        holding: Callable[[], float],
    ) -> None:
        """Shows a lane of the queue. The functions are called from the thread that serves the
        metrics.
        """
        self._capacity.labels(lane.value).set(capacity)
        self._depth.labels(lane.value).set_function(depth)
        self._backlog.labels(lane.value).set_function(backlog)
        self._holding.labels(lane.value).set_function(holding)

    def watch_pause(self, paused: Callable[[], float]) -> None:
        """Shows whether execution is paused. `paused` is called as those of `watch_lane`."""
        self._paused.set_function(paused)

    def failed(self, change: int) -> None:
        """Notes that so many more commands wait for an operator, or so many fewer."""
        self._failed.inc(change)

    def executed_later(self, record: CommandRecord) -> None:
        """Counts an attempt of a command that was stored before."""
        self._executed_later.labels(record.type, record.stage.value).inc()

    def command_ended(self, command_type: str, outcome: CommandOutcome) -> None:
        """Counts a command. Its type is one that has a handler."""
        child = self._command_children.get((command_type, outcome))
        if child is None:
            child = self._commands.labels(command_type, outcome.value)
            self._command_children[command_type, outcome] = child
        child.inc()

    def command_refused(self, *, reason: str, rule: str = "", lane: Lane) -> None:
        """Counts why a command was turned away."""
        child = self._refusal_children.get((reason, rule, lane))
        if child is None:
            child = self._refusals.labels(reason, rule, lane.value)
            self._refusal_children[reason, rule, lane] = child
        child.inc()

    def batch_committed(self, *, commands: int, events: int, seconds: float) -> None:
        """Records a transaction of the writer."""
        self._batch_commands.observe(commands)
        self._commit_seconds.observe(seconds)
        self._events_appended.inc(events)

    def outbox_pruned(self, events: int) -> None:
        """Counts events that were taken out of the outbox."""
        self._outbox_pruned.inc(events)


class ProjectionFigures(Protocol):
    """What is shown of a projection, as of when it is asked."""

    def position(self) -> float:
        """Up to which it holds the log."""

    def head_position(self) -> float:
        """The end of the log when it last looked."""

    def lag_seconds(self) -> float:
        """Since it was last known to hold the whole log."""

    def failed(self) -> float:
        """1 or 0."""

    def paused(self) -> float:
        """1 or 0."""

    def skipped_events(self) -> float:
        """Left out of what serves."""

    def progress(self) -> float:
        """Of its rebuild, 0 to 1."""


class ProjectionMetrics:
    """How far projections are, and how fast they go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._position = Gauge(
            "orderes_projection_position",
            "Position up to which the read model holds the log.",
            ("projection",),
            registry=registry,
        )
        self._head_position = Gauge(
            "orderes_projection_head_position",
            "End of the log when the projection last looked.",
            ("projection",),
            registry=registry,
        )
        self._lag_seconds = Gauge(
            "orderes_projection_lag_seconds",
            "Time since the projection was last known to hold the whole log.",
            ("projection",),
            registry=registry,
        )
        self._failed = Gauge(
            "orderes_projection_failed",
            "1 while the projection, or its rebuild, has stopped at an event that it cannot apply, "
            "otherwise 0.",
            ("projection",),
            registry=registry,
        )
        self._paused = Gauge(
            "orderes_projection_paused",
            "1 while an operator has the projection stand still, otherwise 0.",
            ("projection",),
            registry=registry,
        )
        self._skipped_events = Gauge(
            "orderes_projection_skipped_events",
            "Events that operators had left out of what serves queries.",
            ("projection",),
            registry=registry,
        )
        self._rebuild_progress = Gauge(
            "orderes_projection_rebuild_progress",
            "0 to 1 during a rebuild, otherwise 1.",
            ("projection",),
            registry=registry,
        )
        self._events = Counter(
            "orderes_projection_events",
            "Events that were applied, to every generation of the read model.",
            ("projection",),
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "orderes_projection_batch_seconds",
            "Duration of a batch's transaction, checkpoint included.",
            ("projection",),
            buckets=COMMIT_SECONDS,
            registry=registry,
        )
        self._event_children: dict[str, Counter] = {}
        self._batch_children: dict[str, Histogram] = {}

    def watch_projection(self, projection: str, figures: ProjectionFigures) -> None:
        """Shows a projection. Its figures are read from the thread that serves the metrics."""
        self._position.labels(projection).set_function(figures.position)
        self._head_position.labels(projection).set_function(figures.head_position)
        self._lag_seconds.labels(projection).set_function(figures.lag_seconds)
        self._failed.labels(projection).set_function(figures.failed)
        self._paused.labels(projection).set_function(figures.paused)
        self._skipped_events.labels(projection).set_function(figures.skipped_events)
        self._rebuild_progress.labels(projection).set_function(figures.progress)
        self._event_children[projection] = self._events.labels(projection)
        self._batch_children[projection] = self._batch_seconds.labels(projection)

    def batch_applied(self, projection: str, *, events: int, seconds: float) -> None:
        """Records a batch of a projection that is watched."""
        self._event_children[projection].inc(events)
        self._batch_children[projection].observe(seconds)
