"""How fast events are applied, and how much of the projector's time a rebuild may take."""

from collections.abc import Callable

RATE_SECONDS = 5.0
"""Over how long a rate is told, about: what is older counts for less and less."""

SLICE_SECONDS = 0.1
"""How long one transaction of a rebuild may take. What comes in waits for it meanwhile, so it is a
part of the time from a commit to its being seen."""

REBUILD_EVENTS_MIN = 100
"""Events of one transaction of a rebuild, at least."""

GAP_SECONDS = 10.0
"""Over how long a rebuild is watched, to tell whether it comes nearer."""


class Rate:
    """Events per second, lately."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._events = 0
        self._since = monotonic()
        self._rate = 0.0

    def add(self, events: int) -> None:
        """Counts events that were applied."""
        self._events += events

    def tick(self) -> float:
        """The rate now. To be called every second or so."""
        now = self._monotonic()
        seconds = now - self._since
        if seconds <= 0:
            return self._rate
        weight = min(seconds / RATE_SECONDS, 1.0)
        self._rate += weight * (self._events / seconds - self._rate)
        self._events, self._since = 0, now
        return self._rate


class Slices:
    """Cuts a rebuild into transactions that take about as long as they may, and says when the next
    one is due.

    Between two of them it rests, so that it takes no more than its share of the time. While it does
    not come nearer to what it is to replace, it rests no more, and gives way to nobody: it must be
    faster than events come in.
    """

    def __init__(
        self, *, share: float, events_max: int, monotonic: Callable[[], float]
    ) -> None:
        self._share = share
        self._events_max = events_max
        self._monotonic = monotonic
        self.events = min(events_max, 10 * REBUILD_EVENTS_MIN)
        """Of the next transaction, at most."""
        self.due = monotonic()
        """When the next one is due, on the clock that only grows."""

    def wait_seconds(self) -> float:
        """Until the next transaction is due; less than 0 if it was."""
        return self.due - self._monotonic()

    def took(self, seconds: float, *, events: int, hurry: bool) -> None:
        """Notes how long a transaction took."""
        rest = 0.0 if hurry else seconds * (1 - self._share) / self._share
        self.due = self._monotonic() + rest
        if events < self.events and seconds < SLICE_SECONDS:
            return  # There was no more to apply: it tells nothing of how much fits.
        fitting = round(events * SLICE_SECONDS / max(seconds, SLICE_SECONDS / 100))
        bounded = max(REBUILD_EVENTS_MIN, min(fitting, 2 * self.events))
        self.events = min(bounded, self._events_max)


class Gap:
    """How far a rebuild is from where it has to come, and whether it comes nearer."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._first: tuple[float, int] | None = None
        self.falling_behind = False
        """Whether it has come no nearer lately."""
        self.seconds_left: float | None = None
        """Until it is there, as it goes now; None while nobody can tell."""

    def restart(self) -> None:
        """Forgets what was observed: what comes next has nothing to do with it."""
        self._first = None
        self.falling_behind, self.seconds_left = False, None

    def observe(self, gap: int) -> None:
        """Notes how many events it is away."""
        now = self._monotonic()
        if self._first is None:
            self._first = (now, gap)
            return
        began, before = self._first
        seconds, closed = now - began, before - gap
        if gap <= 0:
            self.falling_behind, self.seconds_left = False, 0.0
        elif closed > 0 and seconds > 0:
            self.seconds_left = gap * seconds / closed
        if seconds >= GAP_SECONDS:
            self.falling_behind = gap > 0 and closed <= 0
            if self.falling_behind:
                self.seconds_left = None
            self._first = (now, gap)
